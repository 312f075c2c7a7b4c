//! The admin interface's files, which are part of the program (`ui/`, `build.rs`).
//!
//! Pages are asked for anew each time, by their tag; what they name lies below a path that changes with it, and is kept for ever. No
//! page may load or run anything from elsewhere, or be shown inside another.

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{Edge, error::EdgeError};

/// Nothing but our own files; no script or style inside a page; no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// What holds for a page holds for all that it loads: said once, not with each of forty files.
const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ANEW: &str = "no-cache";

/// A file, as the build has left it.
struct File {
    /// Its path below `ui/`.
    name: &'static str,
    content_type: &'static str,
    /// With its quotation marks.
    etag: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

impl File {
    /// Whether it is of this kind.
    fn is(&self, kind: &str) -> bool {
        self.content_type.starts_with(kind)
    }
}

mod files {
    //! The table of files, made by `build.rs`.

    use super::File;

    include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));
}

/// Registers the paths.
pub(crate) fn routes(router: Router<Edge>) -> Router<Edge> {
    router
        .route("/admin-ui", get(async || Redirect::permanent("/admin-ui/")))
        .route("/admin-ui/", get(async |headers: HeaderMap| answer("index.html", ANEW, &headers)))
        .route("/admin-ui/login.html", get(async |headers: HeaderMap| answer("login.html", ANEW, &headers)))
        .route("/admin-ui/assets/{build}/{*name}", get(asset))
}

/// What a page names. A page of another version gets what there is, and does not keep it.
async fn asset(Path((build, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if files::FILES.iter().any(|file| file.name == name && file.is("text/html")) {
        return missing(&name);
    }
    answer(&name, if build == files::BUILD { FOR_EVER } else { ANEW }, &headers)
}

fn answer(name: &str, kept: &'static str, headers: &HeaderMap) -> Response {
    let Some(file) = files::FILES.iter().find(|file| file.name == name) else { return missing(name) };
    let fixed = [
        (header::ETAG, file.etag),
        (header::CACHE_CONTROL, kept),
        (header::VARY, "accept-encoding"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)));
    let mut answer = content(file, headers, fixed);
    if file.is("text/html") {
        let of_pages = PAGE_HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
        answer.headers_mut().extend(of_pages);
    }
    answer
}

/// The file, as the browser takes it, unless it has it.
fn content(file: &File, headers: &HeaderMap, fixed: [(HeaderName, HeaderValue); 4]) -> Response {
    if lists(headers, &header::IF_NONE_MATCH, file.etag) {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type))];
    if lists(headers, &header::ACCEPT_ENCODING, "gzip") {
        let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        return (fixed, content_type, encoding, file.gzip).into_response();
    }
    (fixed, content_type, file.plain).into_response()
}

/// Whether one of the header's values, separated by commas, is this one. Weak tags are equal to strong ones here (RFC 9110, 8.8.3.2).
fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| {
            let mut parts = value.trim().split(';');
            let said = parts.next().unwrap_or_default().trim();
            let refused = parts.any(|part| matches!(part.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            !refused && said.strip_prefix("W/").unwrap_or(said) == wanted
        })
}

fn missing(name: &str) -> Response {
    EdgeError::unknown_path(&http::Method::GET, name).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_page_names_only_files_that_there_are_and_nothing_from_elsewhere() {
        for file in files::FILES.iter().filter(|file| file.is("text/html")) {
            let page = std::str::from_utf8(file.plain).unwrap();
            assert!(
                !page.contains("{{") && !page.contains("<style") && !page.contains(" style="),
                "{}",
                file.name
            );
            assert!(
                !page.contains("//") && !page.contains(" on"),
                "{}: nothing from elsewhere, nothing inline",
                file.name
            );
            let start = format!("assets/{}/", files::BUILD);
            let named: Vec<_> = page
                .split(['"', '\''])
                .filter_map(|part| part.strip_prefix("./").unwrap_or(part).strip_prefix(&start))
                .collect();
            assert!(named.len() > 1, "{}: {named:?}", file.name);
            for name in named {
                assert!(files::FILES.iter().any(|file| file.name == name), "{} names {name}", file.name);
            }
        }
    }

    #[test]
    fn every_import_of_a_script_is_one_of_the_files() {
        let mut seen = 0;
        for file in files::FILES.iter().filter(|file| file.is("text/javascript")) {
            let text = std::str::from_utf8(file.plain).unwrap();
            let (folder, _) = file.name.rsplit_once('/').unwrap_or(("", file.name));
            // Statements only: what the playground shows of other programs names their libraries.
            let statement = |line: &&str| line.starts_with("import") || line.starts_with("export");
            let dynamic = text.match_indices("import(\"").map(|(place, _)| &text[place..]);
            let fixed = text.lines().filter(statement).filter_map(|line| line.split_once("from"));
            let fixed = fixed.map(|(_, rest)| rest.trim_start()).filter(|rest| rest.starts_with('"'));
            for import in dynamic.chain(fixed) {
                let rest = import.split('"').nth(1).unwrap();
                let mut path: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
                for part in rest.split('/') {
                    match part {
                        "." => {}
                        ".." => drop(path.pop()),
                        part => path.push(part),
                    }
                }
                let path = path.join("/");
                assert!(rest.starts_with('.'), "{} imports {rest}", file.name);
                assert!(files::FILES.iter().any(|file| file.name == path), "{} imports {rest}", file.name);
                seen += 1;
            }
        }
        assert!(seen > 10, "{seen}");
    }

    #[test]
    fn what_has_not_changed_is_not_sent_again_and_what_is_sent_is_small() {
        let first = answer("index.html", ANEW, &headers(header::ACCEPT_ENCODING, "br, gzip;q=0.8"));
        assert_eq!(
            (first.status(), &first.headers()[header::CONTENT_ENCODING]),
            (StatusCode::OK, &"gzip".parse().unwrap())
        );
        let etag = first.headers()[header::ETAG].clone();
        let again = HeaderMap::from_iter([(header::IF_NONE_MATCH, etag)]);
        assert_eq!(answer("index.html", ANEW, &again).status(), StatusCode::NOT_MODIFIED);
        let plain = answer("index.html", ANEW, &headers(header::ACCEPT_ENCODING, "gzip;q=0, br"));
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        let all: usize = files::FILES.iter().map(|file| file.gzip.len()).sum();
        assert!(all < 300 * 1024, "all files are {all} bytes compressed");
    }
}
