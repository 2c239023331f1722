//! A trie over path elements, runs of single children folded into one label. It finds the deepest node on a
//! path and, from there, those above it that hold something. Packed into three arrays, for each memory
//! access that misses the caches costs more than all the comparing.

use std::{cmp::Ordering, collections::VecDeque, hash::Hasher, mem, ops::Range};

use super::hash::TextHasher;

/// Nodes breadth first, so the children of one lie side by side; the first is the root.
#[derive(Debug)]
pub(super) struct Trie<V> {
    nodes: Box<[Node<V>]>,
    labels: Box<str>,
    /// A hash table without keys: the children of nodes that have many, each as its index in `nodes`.
    slots: Box<[u32]>,
}

/// The end of a run of elements.
#[derive(Debug)]
pub(super) struct Node<V> {
    pub(super) value: V,
    /// The elements that lead here from the parent, each with its slash in front.
    label: Range<u32>,
    children: Range<u32>,
    /// The nearest node above that is worth a visit.
    up: Option<u32>,
}

/// More children than this are hashed, fewer scanned.
const FEW: usize = 4;
/// The root, which is nobody's child.
const EMPTY: u32 = 0;

/// The order that `Trie::build` wants: by elements, so that all that lies below a path follows it at once.
pub(super) fn order(a: &str, b: &str) -> Ordering {
    let key = |byte| if byte == b'/' { 0 } else { byte };
    a.bytes().map(key).cmp(b.bytes().map(key))
}

// === impl Trie ===

impl<V: Default> Trie<V> {
    /// Takes distinct paths in `order`, each empty (the root) or with a slash in front of every element.
    /// Values that are `worth` a visit are what `and_above` leads to.
    pub(super) fn build(paths: Vec<(&str, V)>, worth: impl Fn(&V) -> bool) -> Self {
        let mut builder = Builder::default();
        builder.add_all(paths);
        builder.link_up(worth);
        let slots = builder.slots();
        Self { nodes: builder.nodes.into(), labels: builder.labels.into(), slots }
    }
}

impl<V> Trie<V> {
    /// The deepest node on the path, and whether the path ends there. None for what is no path, such as `*`.
    pub(super) fn walk(&self, path: &str) -> Option<(&Node<V>, bool)> {
        if !path.starts_with('/') {
            return None;
        }
        let (mut node, mut rest) = (&self.nodes[0], path);
        while !rest.is_empty() {
            let Some((child, after)) = self.child(node, rest) else { return Some((node, false)) };
            (node, rest) = (child, after);
        }
        Some((node, true))
    }

    /// A node, then those above it that are worth a visit, deepest first.
    pub(super) fn and_above<'a>(&'a self, node: &'a Node<V>) -> impl Iterator<Item = &'a Node<V>> {
        std::iter::successors(Some(node), |node| node.up.map(|up| &self.nodes[up as usize]))
    }

    /// The child that the rest of a path leads to, and what is left behind it.
    fn child<'p>(&self, node: &Node<V>, rest: &'p str) -> Option<(&Node<V>, &'p str)> {
        let children = &self.nodes[indices(&node.children)];
        if children.len() > FEW {
            return self.hashed_child(node, rest);
        }
        children.iter().find_map(|child| Some((child, self.strip(child, rest)?)))
    }

    fn hashed_child<'p>(&self, node: &Node<V>, rest: &'p str) -> Option<(&Node<V>, &'p str)> {
        let found = probe(&self.slots, hash(node.children.start, rest)).take_while(|slot| *slot != EMPTY);
        // The table is for the whole trie, so a slot may hold a child of another node.
        let mut own = found.filter(|slot| node.children.contains(slot)).map(|slot| &self.nodes[slot as usize]);
        own.find_map(|child| Some((child, self.strip(child, rest)?)))
    }

    fn strip<'p>(&self, node: &Node<V>, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&self.labels[indices(&node.label)])?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

fn indices(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// The hash of the first element of `path` among the children that start at that index.
fn hash(children: u32, path: &str) -> u64 {
    let mut hasher = TextHasher::seeded(children);
    hasher.write(&path.as_bytes()[..first_element(path)]);
    hasher.finish()
}

/// The length of a path's first element with its slash in front.
fn first_element(path: &str) -> usize {
    path.bytes().skip(1).position(|byte| byte == b'/').map_or(path.len(), |slash| slash + 1)
}

/// Every slot once, from the one that the hash names.
fn probe(slots: &[u32], hash: u64) -> impl Iterator<Item = u32> {
    let (before, from) = slots.split_at(start(slots.len(), hash));
    from.iter().chain(before).copied()
}

/// The high bits pick the slot, for they depend on every bit of the text.
fn start(slots: usize, hash: u64) -> usize {
    ((u128::from(hash) * slots as u128) >> 64) as usize
}

// === impl Builder ===

/// A trie in the making.
struct Builder<V> {
    nodes: Vec<Node<V>>,
    labels: String,
}

/// A node still without value and children: these are among the paths of the range, whose first bytes, so many, lead to it.
type Open = (u32, Range<usize>, usize);

impl<V: Default> Builder<V> {
    fn add_all(&mut self, mut paths: Vec<(&str, V)>) {
        let root = self.push("", None);
        let mut open: VecDeque<Open> = VecDeque::from([(root, 0..paths.len(), 0)]);
        while let Some((node, mut below, depth)) = open.pop_front() {
            // In their order, the path that ends at this node comes first.
            if let Some((_, value)) = paths[below.clone()].first_mut().filter(|(path, _)| path.len() == depth) {
                self.nodes[node as usize].value = mem::take(value);
                below.start += 1;
            }
            let first = self.next();
            open.extend(groups(&paths[below.clone()], depth).map(|(group, label)| {
                let child = self.push(label, Some(node));
                (child, below.start + group.start..below.start + group.end, depth + label.len())
            }));
            self.nodes[node as usize].children = first..self.next();
        }
    }

    fn push(&mut self, label: &str, up: Option<u32>) -> u32 {
        let index = self.next();
        let start = short(self.labels.len());
        self.labels.push_str(label);
        self.nodes.push(Node { value: V::default(), label: start..short(self.labels.len()), children: 0..0, up });
        index
    }
}

impl<V> Builder<V> {
    /// Shortens the way up from the parent to the nearest node that is worth a visit.
    fn link_up(&mut self, worth: impl Fn(&V) -> bool) {
        for index in 0..self.nodes.len() {
            let parent = self.nodes[index].up.map(|parent| &self.nodes[parent as usize]);
            // Parents come first, so the parent's own link is already final.
            if let Some(parent) = parent.filter(|parent| !worth(&parent.value)) {
                self.nodes[index].up = parent.up;
            }
        }
    }

    fn slots(&self) -> Box<[u32]> {
        let large: Vec<&Range<u32>> = self.nodes.iter().map(|node| &node.children).filter(|all| all.len() > FEW).collect();
        let count: usize = large.iter().map(|children| children.len()).sum();
        // Half of the slots stay empty, so that a search soon meets one.
        let mut slots = vec![EMPTY; 2 * count].into_boxed_slice();
        for children in large {
            for child in children.clone() {
                let label = &self.labels[indices(&self.nodes[child as usize].label)];
                fill(&mut slots, hash(children.start, label), child);
            }
        }
        slots
    }

    fn next(&self) -> u32 {
        short(self.nodes.len())
    }
}

impl<V> Default for Builder<V> {
    fn default() -> Self {
        Self { nodes: Vec::new(), labels: String::new() }
    }
}

fn fill(slots: &mut [u32], hash: u64, child: u32) {
    let (before, from) = slots.split_at_mut(start(slots.len(), hash));
    let free = from.iter_mut().chain(before).find(|slot| **slot == EMPTY);
    *free.expect("there are twice as many slots as children") = child;
}

/// Sorted paths in runs that share the element after `depth`, each with all the elements it shares.
fn groups<'p, V>(paths: &[(&'p str, V)], depth: usize) -> impl Iterator<Item = (Range<usize>, &'p str)> {
    let element = move |path: &'p str| &path[depth..][..first_element(&path[depth..])];
    let mut end = 0;
    paths.chunk_by(move |(a, _), (b, _)| element(a) == element(b)).map(move |group| {
        let start = end;
        end += group.len();
        (start..end, common_elements(&group[0].0[depth..], &group[group.len() - 1].0[depth..]))
    })
}

/// What the first and the last of sorted paths share, and so those between.
fn common_elements<'p>(first: &'p str, last: &str) -> &'p str {
    let same = first.split('/').zip(last.split('/')).skip(1).take_while(|(a, b)| a == b);
    &first[..same.map(|(element, _)| 1 + element.len()).sum()]
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("the paths of one host are less than four gigabytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trie<'a>(paths: &[&'a str]) -> Trie<Option<&'a str>> {
        let mut sorted = paths.to_vec();
        sorted.sort_by(|a, b| order(a, b));
        Trie::build(sorted.into_iter().map(|path| (path, Some(path))).collect(), Option::is_some)
    }

    #[track_caller]
    fn check(trie: &Trie<Option<&str>>, path: &str, expected: &[&str]) {
        let (node, whole) = trie.walk(path).expect("the path starts with a slash");
        let found: Vec<&str> = trie.and_above(node).filter_map(|node| node.value).collect();
        assert_eq!(found, expected, "what holds {path}, deepest first");
        assert_eq!(whole && node.value.is_some(), expected[0] == path, "whether {path} was put in");
    }

    #[test]
    fn a_walk_ends_at_the_deepest_node_and_goes_up_over_the_full_ones() {
        let trie = trie(&["", "/a", "/a/b/c/d", "/a/b/c/d/", "/a/b/x", "/a-b", "/a.b/c"]);
        check(&trie, "/a/b/c/d", &["/a/b/c/d", "/a", ""]);
        check(&trie, "/a/b/c/d/", &["/a/b/c/d/", "/a/b/c/d", "/a", ""]);
        check(&trie, "/a/b/c/d/e", &["/a/b/c/d", "/a", ""]);
        check(&trie, "/a/b/c/dd", &["/a", ""]);
        check(&trie, "/a/b/x/y", &["/a/b/x", "/a", ""]);
        check(&trie, "/a/b/c", &["/a", ""]);
        check(&trie, "/a/b", &["/a", ""]);
        check(&trie, "/a/", &["/a", ""]);
        check(&trie, "/a-b/c", &["/a-b", ""]);
        check(&trie, "/a.b", &[""]);
        check(&trie, "/ab", &[""]);
        check(&trie, "/", &[""]);
        check(&trie, "//", &[""]);
        assert!(trie.walk("*").is_none(), "an asterisk is no path");
        assert!(trie.walk("").is_none(), "nor is nothing");
    }

    #[test]
    fn slashes_alone_are_elements_of_no_characters() {
        let trie = trie(&["", "/", "/a", "/a/"]);
        check(&trie, "/", &["/", ""]);
        check(&trie, "//", &["/", ""]);
        check(&trie, "/a/", &["/a/", "/a", ""]);
        check(&trie, "/a//", &["/a/", "/a", ""]);
        check(&trie, "/b", &[""]);
    }

    #[test]
    fn many_children_on_many_levels_are_found_like_few() {
        let pairs = (0..30).flat_map(|outer| (0..30).map(move |inner| (outer, inner)));
        let paths: Vec<String> = pairs.map(|(outer, inner)| format!("/x/{outer}/{inner}/y")).collect();
        let texts: Vec<&str> = paths.iter().map(String::as_str).chain([""]).collect();
        let trie = trie(&texts);
        for path in &paths {
            check(&trie, path, &[path.as_str(), ""]);
            check(&trie, &format!("{path}/z"), &[path.as_str(), ""]);
            check(&trie, &format!("{path}z"), &[""]);
        }
        check(&trie, "/x/30/0/y", &[""]);
        check(&trie, "/x/0/30/y", &[""]);
        check(&trie, "/x/3", &[""]);
    }

    #[test]
    fn an_empty_trie_has_a_root_and_no_more() {
        let trie = trie(&[]);
        let (node, whole) = trie.walk("/a/b").expect("the path starts with a slash");
        assert_eq!((node.value, whole), (None, false), "nothing was put in");
    }
}
