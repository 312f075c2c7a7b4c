//! The core's program as an operator uses it beside a running one: copies, exports, declared catalogs, other master keys.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod home;

use std::{fs, os::unix::fs::PermissionsExt as _};

use home::{Core, Home};
use orchestrator_testkit::sqlite;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_under_load_is_an_installation_when_it_is_put_back() {
    let (here, there) = (Home::new(), Home::new());
    let core = Core::start(&here, &[]).await;
    let key = here.key("client.key");
    for _ in 0..20 {
        core.chat(&key).await.unwrap();
    }
    sqlite_has(&here, 20).await;
    let load = async {
        for _ in 0..100 {
            core.chat(&key).await.unwrap();
        }
    };
    let backup = async { here.run(&["backup", "copy.db"], &[]).await };
    let (done, ()) = tokio::join!(backup, load);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("The master key is not inside"), "{}", done.out);
    let copy = here.path("copy.db");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = here.run(&["backup", "copy.db"], &[]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("is there already"), "{}", refused.err);
    core.stop().await;

    // As docs/OPERATIONS.md says: the copy and the keys, and no -wal or -shm beside it.
    fs::create_dir(there.path("data")).unwrap();
    fs::copy(&copy, there.database()).unwrap();
    for name in ["master.key", "admin.key", "client.key"] {
        fs::copy(here.path("data").join(name), there.path("data").join(name)).unwrap();
    }
    let integrity = sqlite::rows(&there.database(), "PRAGMA integrity_check").await;
    assert_eq!(integrity[0]["integrity_check"], "ok");
    let restored = Core::start(&there, &[]).await;
    restored.chat(&key).await.unwrap();
    let count = sqlite::rows(&there.database(), "SELECT count(*) AS n FROM request_logs").await;
    assert!(count[0]["n"].as_i64().unwrap() >= 20, "{count:?}");
    restored.stop().await;
}

/// Waits until the log has that many records.
async fn sqlite_has(home: &Home, count: i64) {
    for _ in 0..500 {
        let rows = sqlite::rows(&home.database(), "SELECT count(*) AS n FROM request_logs").await;
        if rows[0]["n"].as_i64().unwrap() >= count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the records were not stored");
}

const CATALOG: &str = r#"
[[providers]]
name = "acme"
kind = "openai_compatible"
base_url = "https://llm.example.com/v1"
api_key = "env:ACME_KEY"

[[providers]]
name = "offline"
kind = "echo"

[[models]]
name = "chat"

[[model_providers]]
model = "chat"
provider = "offline"

[[api_keys]]
name = "team"
secret = "env:TEAM_KEY"
"#;

const SECRETS: [(&str, &str); 2] =
    [("ACME_KEY", "sk-acme-0123456789abcdefghij"), ("TEAM_KEY", "team-key-0123456789abcdef")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_catalog_is_there_after_each_start_and_apply_follows_the_file() {
    let home = Home::new();
    home.write("orchestrator.toml", &format!("[provider_rules]\ndeny_private_networks = false\n{CATALOG}"));
    let core = Core::start(&home, &SECRETS).await;
    core.chat_with("team-key-0123456789abcdef", "chat").await.unwrap();
    assert!(core.log().contains("Declared catalog applied: 6 created"), "{}", core.log());
    assert!(!core.log().contains("acme-0123"), "{}", core.log());

    // Beside the running core.
    let same = home.run(&["apply", "orchestrator.toml", "--dry-run", "--prune"], &SECRETS).await;
    assert_eq!(
        (same.code, same.out.lines().last().unwrap()),
        (
            0,
            "0 created, 0 replaced, 0 deleted, 6 unchanged, 0 skipped, 0 left out (dry run: nothing was changed)"
        )
    );
    home.write(
        "less.toml",
        &CATALOG.replace("name = \"team\"", "name = \"crew\"").replace("\"chat\"", "\"talk\""),
    );
    let said = home.run(&["apply", "less.toml", "--dry-run", "--prune"], &SECRETS).await;
    insta::assert_snapshot!(said.out);
    let done = home.run(&["apply", "less.toml", "--prune"], &SECRETS).await;
    assert_eq!(done.code, 0, "{}", done.err);
    core.eventually("team-key-0123456789abcdef", "talk").await;
    assert!(core.chat_with("team-key-0123456789abcdef", "chat").await.is_err());
    core.stop().await;

    let again = Core::start(&home, &SECRETS).await_end().await;
    // `crew` has the secret now that the file gives to `team`.
    assert_eq!(again.code, 2, "{}", again.err);
    assert!(again.err.contains("has the same secret as API key crew"), "{}", again.err);
    let unset = home.run(&["apply", "less.toml"], &[]).await;
    assert_eq!(unset.code, 2);
    assert!(unset.err.contains("providers[0].api_key"), "{}", unset.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_core_reads_again_what_is_declared_when_it_is_told_to() {
    let home = Home::new();
    home.write("orchestrator.toml", CATALOG);
    let core = Core::start(&home, &SECRETS).await;
    let (key, admin) = ("team-key-0123456789abcdef", home.key("admin.key"));
    home.write("orchestrator.toml", &CATALOG.replace("\"chat\"", "\"talk\""));
    core.signal("HUP");
    core.eventually(key, "talk").await;
    core.chat_with(key, "chat").await.unwrap();

    home.write("orchestrator.toml", &CATALOG.replace("\"chat\"", "\"babble\""));
    let report = core.reload(&admin).await.unwrap();
    assert_eq!((report.created, report.deleted), (2, 0), "{report:?}");
    core.chat_with(key, "babble").await.unwrap();

    home.write("orchestrator.toml", &CATALOG.replace("env:TEAM_KEY", "env:NOBODY"));
    core.signal("HUP");
    core.logs("the configuration is not taken as a whole").await;
    let refused = core.reload(&admin).await.unwrap_err();
    assert!(refused.message().contains("NOBODY"), "{refused}");
    core.chat_with(key, "babble").await.unwrap();
    core.stop().await;
}

#[tokio::test]
async fn an_export_is_imported_elsewhere_with_its_secrets() {
    let (here, there) = (Home::new(), Home::new());
    here.write("catalog.toml", CATALOG);
    let applied = here.run(&["apply", "catalog.toml"], &SECRETS).await;
    assert_eq!(applied.code, 0, "{}", applied.err);
    let plain = here.run(&["export", "-"], &[]).await;
    assert_eq!(plain.code, 0, "{}", plain.err);
    assert!(!plain.out.contains("\"secret\"") && !plain.out.contains("digest"), "{}", plain.out);

    let nameless = here.run(&["export", "out.json", "--secrets"], &[]).await;
    assert_eq!(nameless.code, 2);
    assert!(nameless.err.contains("CONFIG_PASSPHRASE"), "{}", nameless.err);
    let passphrase = [("CONFIG_PASSPHRASE", "correct horse battery")];
    let sealed = here.run(&["export", "out.json", "--secrets"], &passphrase).await;
    assert_eq!(sealed.code, 0, "{}", sealed.err);
    let file = here.path("out.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let file = file.to_str().unwrap().to_owned();

    let wrong = there.run(&["import", &file], &[("CONFIG_PASSPHRASE", "another horse entirely")]).await;
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("passphrase is not the one"), "{}", wrong.err);
    let imported = there.run(&["import", &file, "--on-conflict", "replace"], &passphrase).await;
    assert_eq!(imported.code, 0, "{}", imported.err);
    assert!(imported.out.contains("0 left out"), "{}", imported.out);
    let core = Core::start(&there, &[]).await;
    core.chat_with("team-key-0123456789abcdef", "chat").await.unwrap();
    core.stop().await;

    there.write("broken.json", r#"{"format":"llm-orchestrator/config","version":1,"models":[{"nme":"x"},{"name":"y","max_retry":99}]}"#);
    let refused = there.run(&["import", "broken.json"], &[]).await;
    assert_eq!(refused.code, 2);
    insta::assert_snapshot!(refused.err, @r"
    3 problems:
    models[0].nme: there is no such field; the nearest is name
    models[0].name: must be 1 to 256 characters
    models[1].max_retry: must be 0 to 10
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_key_is_changed_under_a_running_core() {
    let home = Home::new();
    home.write("catalog.toml", CATALOG);
    assert_eq!(home.run(&["apply", "catalog.toml"], &SECRETS).await.code, 0);
    let core = Core::start(&home, &[]).await;
    let before = home.key("master.key");
    let done = home.run(&["keys", "rotate"], &[]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.starts_with("1 stored secrets are sealed with the new master key."), "{}", done.out);
    let after = home.key("master.key");
    assert_ne!(before, after);
    assert!(!home.path("data/master.key.new").exists());
    // It goes on, says so once, and takes no changes.
    core.logs("the database's master key was changed").await;
    core.chat_with("team-key-0123456789abcdef", "chat").await.unwrap();
    assert_eq!(core.log().matches("the catalog is not loaded any more").count(), 1);
    let refused = core.create_model(&home.key("admin.key"), "more").await.unwrap_err();
    assert!(refused.message().contains("master key was changed"), "{refused}");
    core.stop().await;

    // A change that broke off after the database and before the file: the next start completes it.
    fs::rename(home.path("data/master.key"), home.path("data/master.key.new")).unwrap();
    fs::write(home.path("data/master.key"), &before).unwrap();
    let core = Core::start(&home, &[]).await;
    assert!(
        core.log().contains("A change of the master key that had broken off is complete"),
        "{}",
        core.log()
    );
    assert_eq!(home.key("master.key"), after);
    core.stop().await;
    // The old key alone opens nothing.
    fs::write(home.path("data/master.key"), &before).unwrap();
    let refused = Core::start(&home, &[]).await_end().await;
    assert_eq!(refused.code, 2, "{}", refused.err);
    let refused =
        home.run(&["keys", "rotate"], &[("MASTER_KEY_NEW", "a key that nobody will guess 0123")]).await;
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("is not the one this database was sealed with"), "{}", refused.err);
}

#[tokio::test]
async fn a_servers_database_is_copied_by_its_own_tool() {
    let home = Home::new();
    let url = [("DATABASE_URL", "postgres://ann:p4ss@db.internal/llm")];
    let said = home.run(&["backup", "copy.dump"], &url).await;
    assert_ne!(said.code, 0);
    assert!(!said.err.contains("p4ss"), "{}", said.err);
}
