//! A value to put into a JSON body. Strings in it are templates.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use gatehouse_plugin::json::RawValue;
use gatehouse_plugin::template::Template;
use gatehouse_plugin::{Needs, Request};
use serde::Deserialize;
use serde_json::Value;

/// A value to put in, for each request anew where there are variables in it.
#[derive(Deserialize)]
#[serde(try_from = "Box<RawValue>")]
pub enum Filling {
    /// The same each time.
    Constant(Box<RawValue>),
    /// A string, or what stands alone in it.
    Text(Template),
    /// An array.
    List(Vec<Filling>),
    /// An object.
    Members(Vec<(String, Filling)>),
}

impl Filling {
    /// What a request must show for it.
    pub fn needs(&self, needs: Needs) -> Needs {
        match self {
            Self::Constant(_) => needs,
            Self::Text(template) => template.needs(needs),
            Self::List(items) => items.iter().fold(needs, |needs, item| item.needs(needs)),
            Self::Members(members) => members.iter().fold(needs, |needs, (_, member)| member.needs(needs)),
        }
    }

    /// Whether it is the same each time.
    pub fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    /// The template of the whole, if the response says some of it.
    pub fn of_response(&self) -> Option<&Template> {
        match self {
            Self::Text(template) => Some(template).filter(|template| template.is_of_response()),
            _ => None,
        }
    }

    /// Whether the response says something deeper inside, which cannot be waited for.
    pub fn hides_response(&self) -> bool {
        let hides = |inner: &Self| inner.of_response().is_some() || inner.hides_response();
        match self {
            Self::Constant(_) | Self::Text(_) => false,
            Self::List(items) => items.iter().any(hides),
            Self::Members(members) => members.iter().any(|(_, member)| hides(member)),
        }
    }

    /// The value for this request. None if it is a string that names something missing; inside, such a string is left out.
    pub fn render(&self, request: &Request) -> Option<Cow<'_, RawValue>> {
        if let Self::Constant(raw) = self {
            return Some(Cow::Borrowed(raw));
        }
        let mut json = String::new();
        let there = self.write(&mut json, &|template| template.render_json(request));
        there.then(|| RawValue::from_string(json).ok().map(Cow::Owned))?
    }

    /// Appends the value, unless it is missing.
    fn write(&self, json: &mut String, text: &impl Fn(&Template) -> Option<String>) -> bool {
        match self {
            Self::Constant(raw) => json.push_str(raw.get()),
            Self::Text(template) => match text(template) {
                Some(value) => json.push_str(&value),
                None => return false,
            },
            Self::List(items) => {
                json.push('[');
                items.iter().for_each(|item| separated(json, '[', |json| item.write(json, text)));
                json.push(']');
            }
            Self::Members(members) => {
                json.push('{');
                for (name, member) in members {
                    separated(json, '{', |json| {
                        json.push_str(&Value::from(&**name).to_string());
                        json.push(':');
                        member.write(json, text)
                    });
                }
                json.push('}');
            }
        }
        true
    }

    fn has_variables(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Text(template) => template.literal().is_none(),
            Self::List(items) => items.iter().any(Self::has_variables),
            Self::Members(members) => members.iter().any(|(_, member)| member.has_variables()),
        }
    }

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let text = raw.get();
        let unread = |error: serde_json::Error| error.to_string();
        match text.as_bytes().first() {
            Some(b'"') => Template::try_from(serde_json::from_str::<String>(text).map_err(unread)?).map(Self::Text),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(unread)?;
                items.into_iter().map(Self::parse).collect::<Result<_, _>>().map(Self::List)
            }
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(unread)?;
                let member = |(name, raw): (String, &RawValue)| Self::parse(raw).map(|filling| (name, filling));
                members.into_iter().map(member).collect::<Result<_, _>>().map(Self::Members)
            }
            _ => Ok(Self::Constant(raw.to_owned())),
        }
    }
}

impl TryFrom<Box<RawValue>> for Filling {
    type Error = String;

    fn try_from(raw: Box<RawValue>) -> Result<Self, String> {
        let filling = Self::parse(&raw)?;
        if filling.has_variables() {
            return Ok(filling);
        }
        // Doubled braces are single ones from here on.
        let mut json = String::new();
        filling.write(&mut json, &|template| template.literal().map(|text| Value::from(text).to_string()));
        RawValue::from_string(json).map(Self::Constant).map_err(|error| error.to_string())
    }
}

/// Appends one of several with a comma before it where one is needed, or nothing if it is missing.
fn separated(json: &mut String, open: char, write: impl FnOnce(&mut String) -> bool) {
    let before = json.len();
    if !json.ends_with(open) {
        json.push(',');
    }
    if !write(json) {
        json.truncate(before);
    }
}
