// SPDX-License-Identifier: MPL-2.0

fn main() {
    // Puts the commit and its date where `gst::plugin_define!` expects them.
    gst_plugin_version_helper::info()
}
