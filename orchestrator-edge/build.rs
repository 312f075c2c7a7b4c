//! Puts the admin interface's files (`ui/`) into the program: each as it is and compressed, with a tag of its content.
//!
//! Pages name their scripts and styles below `assets/BUILD/`, where BUILD is a digest of all files: so those may be kept for ever by
//! a browser, and the modules of two versions never meet.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};

/// What a page writes in place of BUILD.
const PLACE_OF_BUILD: &str = "{{build}}";

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script its folders by the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no manifest")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no folder")?);
    let folder = manifest.join("ui");
    println!("cargo::rerun-if-changed={}", folder.display());

    let mut paths = Vec::new();
    walk(&folder, &mut paths)?;
    paths.sort();
    let mut all = Sha256::new();
    for path in &paths {
        all.update(name(&folder, path)?.as_bytes());
        all.update(fs::read(path)?);
    }
    let build = hex(&all.finalize(), 8);

    let mut table =
        format!("/// Names this state of the files.\npub(super) const BUILD: &str = \"{build}\";\n");
    table.push_str("/// Every file, by its name.\npub(super) static FILES: &[File] = &[\n");
    for (place, path) in paths.iter().enumerate() {
        let mut bytes = fs::read(path)?;
        if path.extension().is_some_and(|extension| extension == "html") {
            bytes = String::from_utf8(bytes)?.replace(PLACE_OF_BUILD, &build).into_bytes();
        }
        let (plain, gzip) = (out.join(format!("{place}")), out.join(format!("{place}.gz")));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes)?;
        fs::write(&gzip, encoder.finish()?)?;
        fs::write(&plain, &bytes)?;
        writeln!(
            table,
            "    File {{ name: {:?}, content_type: {:?}, etag: \"\\\"{}\\\"\", plain: include_bytes!({:?}), gzip: include_bytes!({:?}) }},",
            name(&folder, path)?,
            content_type(path)?,
            hex(&Sha256::digest(&bytes), 16),
            text(&plain)?,
            text(&gzip)?,
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("ui_files.rs"), table)?;
    Ok(())
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, paths)?;
        } else if path.extension().is_none_or(|extension| extension != "md") {
            paths.push(path);
        }
    }
    Ok(())
}

fn name(folder: &Path, path: &Path) -> Result<String, Box<dyn Error>> {
    Ok(text(path.strip_prefix(folder)?)?.replace('\\', "/"))
}

fn text(path: &Path) -> Result<&str, Box<dyn Error>> {
    Ok(path.to_str().ok_or("a file's name is not UTF-8")?)
}

fn content_type(path: &Path) -> Result<&'static str, Box<dyn Error>> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => Ok("text/html; charset=utf-8"),
        Some("js") => Ok("text/javascript; charset=utf-8"),
        Some("css") => Ok("text/css; charset=utf-8"),
        Some("svg") => Ok("image/svg+xml"),
        _ => Err(format!("nobody knows what kind of file {} is", path.display()).into()),
    }
}

fn hex(digest: &[u8], bytes: usize) -> String {
    digest.iter().take(bytes).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
