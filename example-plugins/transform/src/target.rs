//! The path upstream, made from a template.

use alloc::string::String;

use gatehouse_plugin::Request;
use gatehouse_plugin::template::Template;

/// The path for this request. None if something it is made of is missing, or would climb out of where it was put.
pub fn path(template: &Template, request: &Request) -> Option<String> {
    let path = template.render_in_path(request)?;
    let climbs = path.split('/').any(|segment| segment == "." || segment == "..");
    // An empty piece at the front would make `//host`, which some servers take for another host.
    let fits = path.starts_with('/') && !path.starts_with("//") && !climbs;
    fits.then_some(path)
}
