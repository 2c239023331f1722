//! The commands that change a running gateway: `diff`, `apply`, `rollback`, `clients`, `keys`.

use gatehouse_tests::{
    Gateway, Origin, Setup,
    gateway::{Output, gatehouse},
    get,
};
use serde_json::json;

/// A gateway with its operator's token in a file.
async fn start(config: &str) -> Gateway {
    Setup::new(config).file("token", "the-token-of-the-tests\n").start().await
}

/// Runs a command against it.
async fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    let admin = format!("http://{}", gateway.listener("admin"));
    gatehouse(gateway.folder(), &[arguments, &["--admin", &admin, "--admin-token-file", "token"]].concat()).await
}

#[track_caller]
fn check_done(output: &Output) -> &str {
    assert_eq!(output.code, Some(0), "{output:?}");
    &output.stdout
}

#[tokio::test]
async fn a_file_is_compared_applied_and_taken_back() {
    let origin = Origin::saying("hello").await;
    let gateway = start(&gatehouse_tests::gateway::plain(&origin.url())).await;
    let write = |text: &str| std::fs::write(gateway.folder().join("api.yml-"), text).expect("the folder takes files");
    let file = |prefix: &str| {
        let text = format!(
            "routes:\n  - {{name: made, match: [{{path: {{prefix: {prefix}}}}}], upstream: users}}\nupstreams:\n  - {{name: users, endpoints: [{{url: \"{}\"}}]}}\n",
            origin.url()
        );
        write(&text);
    };
    file("/one");
    let first = run(&gateway, &["diff", "api.yml-"]).await;
    assert_eq!((first.code, &*first.stdout), (Some(1), "+ routes/made\n+ upstreams/users\n2 changes\n"), "{first:?}");
    assert_eq!(gateway.api_get("/v1/routes/made").await.status, 404, "a diff changes nothing");
    let applied = run(&gateway, &["apply", "api.yml-"]).await;
    assert!(check_done(&applied).contains("applied as revision 2"), "{applied:?}");
    assert_eq!(check_done(&run(&gateway, &["diff", "api.yml-"]).await), "nothing to change\n");

    file("/two");
    let second = run(&gateway, &["apply", "api.yml-"]).await;
    assert!(check_done(&second).contains("~ routes/made\n    match[0].path.prefix: \"/one\" -> \"/two\"\n1 change\n"), "{second:?}");
    write("routes: []\n");
    let third = run(&gateway, &["apply", "api.yml-"]).await;
    assert!(check_done(&third).contains("- routes/made\n- upstreams/users\n2 changes\n"), "what a file does not say is gone: {third:?}");

    let tried = run(&gateway, &["rollback", "2", "--dry-run"]).await;
    assert!(check_done(&tried).contains("+ routes/made") && !tried.stdout.contains("applied"), "{tried:?}");
    let back = run(&gateway, &["rollback", "2"]).await;
    assert!(check_done(&back).contains("applied as revision 5"), "{back:?}");
    assert_eq!(gateway.api_get("/v1/routes/made").await.json()["match"][0]["path"]["prefix"], "/one");
}

#[tokio::test]
async fn what_cannot_be_applied_is_said_with_its_place() {
    let gateway = start("routes: [{name: all, chain: [{plugin: mock}]}]").await;
    let refuse = async |text: &str, said: &str| {
        std::fs::write(gateway.folder().join("api.yml-"), text).expect("the folder takes files");
        for command in ["diff", "apply"] {
            let output = run(&gateway, &[command, "api.yml-"]).await;
            assert_eq!(output.code, Some(2), "{output:?}");
            assert!(output.stderr.contains(said), "{said:?} in {output:?}");
        }
    };
    refuse("routes:\n  - {name: a, upstreem: b}\n", "api.yml-:2:15: routes[0].upstreem").await;
    refuse("listeners: []\nplugins: [{name: a}]\n", "api.yml-:2:1: plugins").await;
    refuse("routes: [{name: a, upstream: nobody}]\n", "routes.a.upstream: got \"nobody\"").await;
    refuse("routes: [{name: all, chain: [{plugin: mock}]}]\n", "gatehouse.yaml declares the route \"all\"").await;
    let nowhere = gatehouse(gateway.folder(), &["diff", "api.yml-", "--admin", "http://127.0.0.1:1", "--admin-token-file", "token"]).await;
    assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
    assert!(nowhere.stderr.contains("no admin API at http://127.0.0.1:1"), "{nowhere:?}");
}

#[tokio::test]
async fn clients_and_keys_come_and_go_by_command() {
    let gateway = start("routes: [{name: all, chain: [{plugin: api-key, config: {scopes: [read]}}, {plugin: mock}]}]").await;
    check_done(&run(&gateway, &["clients", "put", "acme", "--scopes", "read,write", "--plan", "gold"]).await);
    let made = run(&gateway, &["keys", "create", "acme"]).await;
    let key = check_done(&made).lines().next().unwrap_or_default().to_owned();
    let ask = |key: &str| gateway.ask(get("/").header("x-api-key", key));
    assert_eq!(ask(&key).await.status, 200, "{made:?}");
    check_done(&run(&gateway, &["clients", "put", "acme", "--scopes", "read"]).await);
    assert_eq!(ask(&key).await.status, 200, "its keys stay");
    assert_eq!(check_done(&run(&gateway, &["clients", "list"]).await), "acme api keys 1 scopes [read]\n");

    let listed = run(&gateway, &["keys", "list", "acme"]).await;
    let id = key.split('_').nth(2).expect("the public part");
    assert_eq!(check_done(&listed), format!("{id} …{}\n", &key[key.len() - 4..]));
    let rotated = run(&gateway, &["keys", "rotate", "acme", id]).await;
    let new = check_done(&rotated).lines().next().unwrap_or_default().to_owned();
    assert_eq!((ask(&key).await.status, ask(&new).await.status), (401, 200));
    let new_id = new.split('_').nth(2).expect("the public part");
    check_done(&run(&gateway, &["keys", "revoke", "acme", new_id]).await);
    assert_eq!(ask(&new).await.status, 401);
    let gone = run(&gateway, &["keys", "revoke", "acme", new_id]).await;
    assert_eq!(gone.code, Some(1), "{gone:?}");
    check_done(&run(&gateway, &["clients", "delete", "acme"]).await);
    assert_eq!(gateway.api_get("/v1/clients").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_key_can_still_be_made_without_a_gateway() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let offline = gatehouse(folder.path(), &["keys", "create", "--client", "acme"]).await;
    assert!(check_done(&offline).contains("sha256:"), "{offline:?}");
    let both = gatehouse(folder.path(), &["keys", "create", "acme", "--client", "acme"]).await;
    assert_eq!(both.code, Some(2), "{both:?}");
}
