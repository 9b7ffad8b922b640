//! The document and the pages that show it.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::scene::{Answer, Scene, request};

async fn open(scene: &Scene, method: &str, path: &str) -> Answer {
    scene.send(Request::builder().method(method).uri(path).body(Full::new(Bytes::new())).unwrap()).await
}

async fn open_with(scene: &Scene, path: &str, name: &str, value: &str) -> Answer {
    let request = Request::builder().uri(path).header(name, value);
    scene.send(request.body(Full::new(Bytes::new())).unwrap()).await
}

#[tokio::test]
async fn a_browser_gets_the_pages_without_a_key() {
    let scene = Scene::new();
    for (path, kind, is_packed) in [
        ("/openapi.json", "application/json", false),
        ("/swagger-ui/", "text/html", true),
        ("/swagger-ui/index.html", "text/html", true),
        ("/swagger-ui/index.css", "text/css", true),
        ("/swagger-ui/swagger-ui.css", "text/css", true),
        ("/swagger-ui/swagger-ui-bundle.js", "text/javascript", true),
        ("/swagger-ui/swagger-ui-standalone-preset.js", "text/javascript", true),
        ("/swagger-ui/swagger-initializer.js", "text/javascript", false),
        ("/swagger-ui/favicon-32x32.png", "image/png", true),
    ] {
        let packed = open_with(&scene, path, "accept-encoding", "gzip, deflate, br").await;
        let plain = open(&scene, "GET", path).await;
        for (answer, is_packed) in [(&packed, is_packed), (&plain, false)] {
            assert_eq!(answer.status.as_u16(), 200, "{path}");
            assert_eq!(answer.headers["content-type"], kind, "{path}");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(answer.headers.contains_key("content-encoding"), is_packed, "{path}");
            assert_eq!(answer.bytes.starts_with(&[0x1f, 0x8b]), is_packed, "{path}");
            assert_ne!(answer.headers["cache-control"], "no-store", "{path}");
        }
        assert_eq!(packed.headers["etag"] != plain.headers["etag"], is_packed, "{path}");
        if path != "/openapi.json" {
            assert_eq!(plain.headers["vary"], "accept-encoding", "{path}");
            let policy = plain.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        }
        assert_eq!(open(&scene, "HEAD", path).await.status.as_u16(), 200, "{path}");
    }
}

#[tokio::test]
async fn who_cannot_unpack_reads_the_page_as_it_is() {
    let scene = Scene::new();
    for refused in ["", "identity", "gzip;q=0", "br"] {
        let page = open_with(&scene, "/swagger-ui/", "accept-encoding", refused).await;
        assert!(page.text.contains("<title>Swagger UI</title>") && page.text.ends_with("</html>\n"), "{refused}");
    }
    let script = open(&scene, "GET", "/swagger-ui/swagger-ui-bundle.js").await;
    assert!(script.bytes.len() > 1_000_000, "{}", script.bytes.len());
}

#[tokio::test]
async fn what_a_browser_has_already_is_not_sent_again() {
    let scene = Scene::new();
    for path in ["/openapi.json", "/swagger-ui/", "/swagger-ui/swagger-initializer.js"] {
        let first = open(&scene, "GET", path).await;
        let tag = first.headers["etag"].to_str().unwrap();
        let second = open_with(&scene, path, "if-none-match", tag).await;
        assert_eq!((second.status.as_u16(), second.bytes.len()), (304, 0), "{path}");
        for name in ["etag", "cache-control", "vary"] {
            assert_eq!(second.headers.get(name), first.headers.get(name), "{path}: {name}");
        }
        assert_eq!(open_with(&scene, path, "if-none-match", "\"other\"").await.status.as_u16(), 200, "{path}");
    }
}

#[tokio::test]
async fn the_pages_show_our_document_and_ask_nobody_else() {
    let scene = Scene::new();
    let script = open(&scene, "GET", "/swagger-ui/swagger-initializer.js").await.text;
    assert!(script.contains(r#""url": "/openapi.json""#), "{script}");
    assert!(script.contains(r#""validatorUrl": "none""#) && !script.contains("http"), "{script}");
}

#[tokio::test]
async fn the_folder_leads_to_its_page() {
    let answer = open(&Scene::new(), "GET", "/swagger-ui").await;
    assert_eq!((answer.status.as_u16(), &answer.headers["location"]), (308, &"/swagger-ui/".parse().unwrap()));
}

#[tokio::test]
async fn what_is_not_there_is_said_only_to_administrators() {
    let scene = Scene::new();
    for path in ["/swagger-ui/x", "/swagger-ui/../config.yaml", "/swagger-ui//", "/swagger-ui/swagger-ui-es-bundle.js"]
    {
        assert_eq!(open(&scene, "GET", path).await.status.as_u16(), 401, "{path}");
        assert_eq!(scene.get(path).await.error(), (404, "not_found".to_owned(), None), "{path}");
    }
    assert_eq!(open(&scene, "POST", "/openapi.json").await.status.as_u16(), 401);
    assert_eq!(scene.send(request("POST", "/openapi.json", "{}")).await.status.as_u16(), 404);
}

#[tokio::test]
async fn there_is_nothing_where_the_api_is_switched_off() {
    let scene = Scene::with_admin_key(None);
    for path in ["/openapi.json", "/swagger-ui", "/swagger-ui/", "/swagger-ui/index.css"] {
        assert_eq!(open(&scene, "GET", path).await.error(), (403, "admin_disabled".to_owned(), None), "{path}");
    }
}
