//! By which entries of which directories a path is reached.
//!
//! A file changes when it is written, when another takes its name, and when a link on the way to it leads elsewhere. Kubernetes
//! mounts a config map as `config.yaml -> ..data/config.yaml` with `..data -> ..2026_11_22`, and swaps `..data` alone.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many links as Linux follows on one path (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// Every entry on which it depends what the file at a path is: the last one is the file, those before it are links. Each stands
/// in a directory that is there and has no links in its own path.
pub(crate) fn hops(path: &Path) -> Vec<PathBuf> {
    let mut hops = Vec::new();
    let Ok(mut current) = std::path::absolute(path) else { return hops };
    for _ in 0..MAX_LINKS {
        let Some((link, next)) = first_link(&current) else { break };
        hops.extend(in_real_directory(&link));
        current = next;
    }
    hops.extend(in_real_directory(&current));
    hops
}

/// The first link on a path, and the path with what the link says in its place.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut walked = PathBuf::new();
    let mut components = path.components();
    while let Some(component) = components.next() {
        match component {
            Component::ParentDir => drop(walked.pop()),
            component => walked.push(component),
        }
        if let Ok(target) = fs::read_link(&walked) {
            let next = walked.parent().unwrap_or(Path::new("/")).join(target).join(components.as_path());
            return Some((walked, next));
        }
    }
    None
}

/// None if the directory is not there.
fn in_real_directory(entry: &Path) -> Option<PathBuf> {
    Some(fs::canonicalize(entry.parent()?).ok()?.join(entry.file_name()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_plain_file_is_one_hop() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        assert_eq!(hops(&root.join("config.yaml")), [root.join("config.yaml")]);
        assert!(hops(&root.join("not there/config.yaml")).is_empty());
    }

    #[test]
    fn a_mounted_config_map_hangs_on_each_of_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("..v1")).unwrap();
        fs::write(root.join("..v1/config.yaml"), "").unwrap();
        symlink("..v1", root.join("..data")).unwrap();
        symlink("..data/config.yaml", root.join("config.yaml")).unwrap();
        let expected = [root.join("config.yaml"), root.join("..data"), root.join("..v1/config.yaml")];
        assert_eq!(hops(&root.join("config.yaml")), expected);
    }

    #[test]
    fn links_in_a_circle_end() {
        let folder = tempfile::tempdir().unwrap();
        symlink("b", folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        assert!(hops(&folder.path().join("a")).len() <= MAX_LINKS + 1);
    }
}
