// SPDX-License-Identifier: MPL-2.0

//! The page for operators: who is here, how it was, where the links are.
//!
//! The page's files are part of the program and take nothing from anywhere else; its figures come as
//! JSON from two paths. Nothing of it names a viewer or an address.

pub(super) mod figures;
pub mod history;

pub(super) use figures::Figures;

/// A file of the page: its type and its text.
pub(super) fn file(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/dashboard" => ("text/html; charset=utf-8", include_str!("page.html")),
        "/dashboard/page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        "/dashboard/page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        "/dashboard/charts.js" => ("text/javascript; charset=utf-8", include_str!("charts.js")),
        "/dashboard/mesh.js" => ("text/javascript; charset=utf-8", include_str!("mesh.js")),
        "/dashboard/world.js" => ("text/javascript; charset=utf-8", include_str!("world.js")),
        _ => return None,
    })
}

/// What the page may do: nothing but show its own files and figures.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
