//! Files in folders of their own, changed in the ways that editors, copies, deployments and Kubernetes change them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use super::{Files, PATIENCE, QUIET, Watch};

/// Longer than a change may take to be noticed.
const LONG: Duration = PATIENCE.saturating_add(Duration::from_secs(4));
/// Long enough for an event to have come, were there one.
const SHORT: Duration = QUIET.saturating_mul(4);

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gatehouse-watch-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    }

    // As a careful editor does it.
    fn replace(&self, name: &str, text: &str) {
        let new = self.write(&format!("{name}.new"), text);
        fs::rename(new, self.0.join(name)).expect("a rename within a folder");
    }

    // As the kubelet does it: a new folder, and one link that is moved over the old one.
    fn swap_data(&self, version: &str, text: &str) {
        self.write(&format!("..{version}/gatehouse.yaml"), text);
        symlink(format!("..{version}"), self.0.join("..data_tmp")).expect("a link");
        fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).expect("a rename within a folder");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn watch(config: &Path) -> Watch {
    let mut watch = Watch::start();
    watch.set(&Files::only(config));
    watch
}

async fn notices(watch: &mut Watch, what: &str) {
    assert!(timeout(LONG, watch.changed()).await.is_ok(), "{what} is noticed");
}

async fn ignores(watch: &mut Watch, what: &str) {
    assert!(timeout(SHORT, watch.changed()).await.is_err(), "{what} is ignored");
}

#[tokio::test]
async fn a_file_that_is_written_or_replaced_is_noticed() {
    let folder = Folder::new("written");
    let config = folder.write("gatehouse.yaml", "old");
    let mut watch = watch(&config);
    folder.write("gatehouse.yaml", "new");
    notices(&mut watch, "a write").await;
    folder.replace("gatehouse.yaml", "newer");
    notices(&mut watch, "a replacement").await;
    folder.replace("gatehouse.yaml", "newest");
    notices(&mut watch, "a replacement of the replacement").await;
}

#[tokio::test]
async fn other_files_of_the_folder_are_nobodys_business() {
    let folder = Folder::new("others");
    let mut watch = watch(&folder.write("gatehouse.yaml", "old"));
    folder.write("access.log", "a line");
    folder.replace("other.yaml", "no part of the document");
    ignores(&mut watch, "a file beside the configuration").await;
}

#[tokio::test]
async fn a_busy_file_beside_the_configuration_hides_no_change() {
    let folder = Folder::new("busy");
    let mut watch = watch(&folder.write("gatehouse.yaml", "old"));
    let busy = async {
        loop {
            folder.write("access.log", "a line");
            tokio::time::sleep(QUIET / 10).await;
        }
    };
    let noticed = async {
        folder.replace("gatehouse.yaml", "new");
        notices(&mut watch, "a change among many").await;
    };
    tokio::select! {
        () = busy => {}
        () = noticed => {}
    }
}

#[tokio::test]
async fn a_configuration_that_never_rests_is_looked_at_now_and_then() {
    let folder = Folder::new("restless");
    let mut watch = watch(&folder.write("gatehouse.yaml", "old"));
    let restless = async {
        loop {
            folder.write("gatehouse.yaml", "again");
            tokio::time::sleep(QUIET / 10).await;
        }
    };
    tokio::select! {
        () = restless => {}
        () = notices(&mut watch, "a file that is written all the time") => {}
    }
}

#[tokio::test]
async fn a_new_document_in_a_folder_of_documents_is_noticed() {
    let folder = Folder::new("documents");
    folder.write("a.yaml", "a");
    let mut watch = watch(&folder.0);
    folder.write("notes.txt", "no document");
    folder.write(".b.yaml", "hidden");
    ignores(&mut watch, "what is no document").await;
    folder.write("b.yml", "b");
    notices(&mut watch, "a new document").await;
    fs::remove_file(folder.0.join("a.yaml")).expect("it is there");
    notices(&mut watch, "a document that went").await;
}

#[tokio::test]
async fn a_config_map_that_is_swapped_is_noticed_each_time() {
    let folder = Folder::new("config-map");
    folder.swap_data("1", "one");
    let config = folder.0.join("gatehouse.yaml");
    symlink("..data/gatehouse.yaml", &config).expect("a link");
    for config in [config, folder.0.clone()] {
        let mut watch = watch(&config);
        for version in ["2", "3"] {
            folder.swap_data(version, "new");
            notices(&mut watch, "a swapped link").await;
        }
        folder.write("..3/gatehouse.yaml", "edited in place");
        notices(&mut watch, "a change where the link leads now").await;
        folder.swap_data("1", "one");
    }
}

#[tokio::test]
async fn links_anywhere_on_the_way_count() {
    let folder = Folder::new("links");
    folder.write("releases/1/gatehouse.yaml", "one");
    folder.write("releases/2/gatehouse.yaml", "two");
    symlink("releases/1", folder.0.join("current")).expect("a link");
    let mut watch = watch(&folder.0.join("current/gatehouse.yaml"));
    symlink("releases/2", folder.0.join("next")).expect("a link");
    fs::rename(folder.0.join("next"), folder.0.join("current")).expect("a rename within a folder");
    notices(&mut watch, "a link of a folder on the way").await;
}

#[test]
fn links_in_a_circle_are_left_alone() {
    let folder = Folder::new("circle");
    symlink("b", folder.0.join("a")).expect("a link");
    symlink("a", folder.0.join("b")).expect("a link");
    let folders = super::Places::of(&Files::only(&folder.0.join("a"))).folders();
    assert!(folders.contains(&folder.0), "the walk ends, and the folder is watched: {folders:?}");
}
