//! temporary
pub fn tune(name: &'static str, default: f64) -> f64 {
    use std::collections::HashMap;
    use std::sync::OnceLock;
    static ALL: OnceLock<HashMap<String, f64>> = OnceLock::new();
    *ALL.get_or_init(|| std::env::vars().filter_map(|(k, v)| Some((k, v.parse().ok()?))).collect()).get(name).unwrap_or(&default)
}
