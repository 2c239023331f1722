//! The headers a plugin was shown: the declared ones by index, the others by name.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::bindings::types as raw;

/// Header names in the order they were declared.
pub(crate) type Names = Rc<[String]>;

#[derive(Debug)]
pub(crate) struct Fields {
    names: Names,
    declared: Vec<raw::Header>,
    others: Option<Vec<raw::Field>>,
}

impl Fields {
    pub(crate) fn new(names: Names, declared: Vec<raw::Header>, others: Option<Vec<raw::Field>>) -> Self {
        Self { names, declared, others }
    }

    /// The first line of that name.
    pub(crate) fn first(&self, name: &str) -> Option<&[u8]> {
        if let Some(index) = self.index(name) {
            return self.declared.iter().find(|header| header.index == index).map(|header| &*header.value);
        }
        let others = self.others.as_ref()?;
        others.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| &*field.value)
    }

    /// Every line of that name, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let index = self.index(name);
        let declared = self.declared.iter().filter(move |header| Some(header.index) == index);
        let others = self.others.iter().flatten().filter(move |field| field.name.eq_ignore_ascii_case(name));
        declared.map(|header| &*header.value).chain(others.map(|field| &*field.value))
    }

    /// Every line that was shown.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let declared = self.declared.iter().filter_map(|header| {
            let name = self.names.get(header.index as usize)?;
            Some((&**name, &*header.value))
        });
        declared.chain(self.others.iter().flatten().map(|field| (&*field.name, &*field.value)))
    }

    /// The first line of a declared name, moved out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        let index = self.index(name)?;
        let at = self.declared.iter().position(|header| header.index == index)?;
        Some(self.declared.remove(at).value)
    }

    fn index(&self, name: &str) -> Option<u32> {
        let index = self.names.iter().position(|declared| declared.eq_ignore_ascii_case(name))?;
        u32::try_from(index).ok()
    }
}

/// A line to write.
pub(crate) fn field(name: impl Into<String>, value: impl Into<Vec<u8>>) -> raw::Field {
    raw::Field { name: name.into(), value: value.into() }
}
