//! Files change in many ways; each is noticed, and nothing else is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_reload::FileWatch;
use tempfile::TempDir;
use tokio::time::timeout;

/// Far longer than it takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    folder: TempDir,
    watch: FileWatch,
}

impl Scene {
    async fn with(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("config.yaml"), text).unwrap();
        Self::of(folder).await
    }

    async fn of(folder: TempDir) -> Self {
        let mut watch = FileWatch::new(vec![folder.path().join("config.yaml")]);
        watch.changed().await;
        Self { folder, watch }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn expect(&mut self, text: Option<&str>) {
        timeout(PATIENCE, self.watch.changed()).await.expect("the change was not noticed");
        assert_eq!(fs::read_to_string(self.path("config.yaml")).ok().as_deref(), text);
    }
}

fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[tokio::test]
async fn a_file_that_is_written_in_place() {
    let mut scene = Scene::with("one").await;
    fs::write(scene.path("config.yaml"), "two").unwrap();
    scene.expect(Some("two")).await;
    File::options().append(true).open(scene.path("config.yaml")).unwrap().write_all(b"+").unwrap();
    scene.expect(Some("two+")).await;
}

#[tokio::test]
async fn a_file_that_another_is_renamed_over_again_and_again() {
    let mut scene = Scene::with("0").await;
    for number in 1..10 {
        replace(&scene.path("config.yaml"), &number.to_string());
        scene.expect(Some(&number.to_string())).await;
    }
}

#[tokio::test]
async fn an_editor_that_moves_the_old_file_away_first() {
    let mut scene = Scene::with("one").await;
    fs::rename(scene.path("config.yaml"), scene.path("config.yaml~")).unwrap();
    fs::write(scene.path("config.yaml"), "two").unwrap();
    scene.expect(Some("two")).await;
}

#[tokio::test]
async fn a_file_that_goes_and_comes() {
    let mut scene = Scene::with("one").await;
    fs::remove_file(scene.path("config.yaml")).unwrap();
    scene.expect(None).await;
    fs::write(scene.path("config.yaml"), "two").unwrap();
    scene.expect(Some("two")).await;
}

#[tokio::test]
async fn a_file_that_comes_for_the_first_time() {
    let mut scene = Scene::of(TempDir::new().unwrap()).await;
    fs::write(scene.path("config.yaml"), "one").unwrap();
    scene.expect(Some("one")).await;
}

#[tokio::test]
async fn a_config_map_whose_link_is_swapped() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().to_owned();
    let version = |number: u32| {
        fs::create_dir(root.join(format!("..v{number}"))).unwrap();
        fs::write(root.join(format!("..v{number}/config.yaml")), number.to_string()).unwrap();
    };
    version(1);
    symlink("..v1", root.join("..data")).unwrap();
    symlink("..data/config.yaml", root.join("config.yaml")).unwrap();
    let mut scene = Scene::of(folder).await;
    for number in 2..6 {
        version(number);
        symlink(format!("..v{number}"), root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        fs::remove_dir_all(root.join(format!("..v{}", number - 1))).unwrap();
        scene.expect(Some(&number.to_string())).await;
    }
    // The file behind the links is watched as well as the links.
    fs::write(root.join("..v5/config.yaml"), "edited").unwrap();
    scene.expect(Some("edited")).await;
}

#[tokio::test]
async fn a_directory_that_another_takes_the_place_of() {
    let folder = TempDir::new().unwrap();
    let (place, aside) = (folder.path().join("conf"), folder.path().join("aside"));
    fs::create_dir(&place).unwrap();
    fs::write(place.join("config.yaml"), "one").unwrap();
    let mut watch = FileWatch::new(vec![place.join("config.yaml")]);
    watch.changed().await;
    for text in ["two", "three"] {
        fs::create_dir(&aside).unwrap();
        fs::write(aside.join("config.yaml"), text).unwrap();
        fs::remove_dir_all(&place).unwrap();
        fs::rename(&aside, &place).unwrap();
        timeout(PATIENCE, watch.changed()).await.expect("the other directory was not noticed");
        replace(&place.join("config.yaml"), &text.repeat(2));
        timeout(PATIENCE, watch.changed()).await.expect("the change in the other directory was not noticed");
    }
}

#[tokio::test]
async fn what_is_written_by_and_by_is_read_when_it_is_whole() {
    let mut scene = Scene::with("old").await;
    let path = scene.path("config.yaml");
    let (half, whole) = ("a".repeat(100_000), "a".repeat(200_000));
    let mut file = File::create(&path).unwrap();
    let written = half.clone();
    let writing = tokio::task::spawn_blocking(move || {
        for part in written.as_bytes().chunks(1000).chain(written.as_bytes().chunks(1000)) {
            file.write_all(part).unwrap();
            file.flush().unwrap();
        }
    });
    scene.expect(Some(&whole)).await;
    writing.await.unwrap();
}

#[tokio::test]
async fn what_says_the_same_and_what_is_beside_is_no_change() {
    let mut scene = Scene::with("one").await;
    fs::write(scene.path("gateway.db"), "noise").unwrap();
    replace(&scene.path("config.yaml"), "one");
    File::open(scene.path("config.yaml")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    replace(&scene.path("config.yaml"), "two");
    // Had any of these counted, this would be the first that is seen.
    scene.expect(Some("two")).await;
}

#[tokio::test]
async fn other_files_can_be_watched_instead() {
    let mut scene = Scene::with("one").await;
    fs::write(scene.path("other.pem"), "one").unwrap();
    scene.watch.set_files(vec![scene.path("other.pem")]);
    timeout(PATIENCE, scene.watch.changed()).await.expect("what it holds at first was not noticed");
    fs::write(scene.path("config.yaml"), "two").unwrap();
    fs::write(scene.path("other.pem"), "two").unwrap();
    timeout(PATIENCE, scene.watch.changed()).await.expect("the change was not noticed");
    assert_eq!(fs::read_to_string(scene.path("other.pem")).unwrap(), "two");
}
