//! The methods of a rule as bits, so that most lookups need not read its list.

use http::Method;

/// A set of methods; those without a bit of their own share one and are looked up in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MethodSet(u16);

const ALL: u16 = u16::MAX;
const OTHER: u16 = 1 << 15;

impl MethodSet {
    /// The set of a rule's list, in which no method means every method.
    pub(super) fn of(methods: &[Method]) -> Self {
        if methods.is_empty() {
            return Self(ALL);
        }
        Self(methods.iter().map(bit).fold(0, |set, bit| set | bit))
    }

    /// Asks `listed` only about methods that share a bit.
    pub(super) fn contains(self, method: &Method, listed: impl FnOnce(&Method) -> bool) -> bool {
        match bit(method) {
            OTHER if self.0 != ALL => self.0 & OTHER != 0 && listed(method),
            bit => self.0 & bit != 0,
        }
    }
}

fn bit(method: &Method) -> u16 {
    match *method {
        Method::GET => 1,
        Method::POST => 1 << 1,
        Method::PUT => 1 << 2,
        Method::DELETE => 1 << 3,
        Method::PATCH => 1 << 4,
        Method::HEAD => 1 << 5,
        Method::OPTIONS => 1 << 6,
        Method::CONNECT => 1 << 7,
        Method::TRACE => 1 << 8,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &[&str], method: &str, expected: bool) {
        let list: Vec<Method> = list.iter().map(|name| name.parse().unwrap()).collect();
        let method: Method = method.parse().unwrap();
        let found = MethodSet::of(&list).contains(&method, |method| list.contains(method));
        assert_eq!(found, expected, "{method} in {list:?}");
    }

    #[test]
    fn a_set_holds_what_its_list_holds_and_an_empty_one_everything() {
        let known = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
        for method in known {
            let others: Vec<&str> = known.into_iter().filter(|other| *other != method).collect();
            check(&[method], method, true);
            check(&[], method, true);
            check(&others, method, false);
            check(&["PURGE"], method, false);
        }
        check(&["GET", "PURGE"], "PURGE", true);
        check(&["GET", "PURGE"], "REPORT", false);
        check(&["GET"], "PURGE", false);
        check(&[], "PURGE", true);
        check(&["GET"], "get", false);
    }
}
