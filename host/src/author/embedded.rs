//! What this binary brings for projects: `wit/` and `plugins-sdk/` of the repository, by their paths in it.

/// Path and content of each file, by path.
pub static FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The files below a folder, with their paths inside it.
pub fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().filter_map(move |(path, content)| Some((path.strip_prefix(folder)?.strip_prefix('/')?, *content)))
}
