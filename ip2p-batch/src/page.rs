//! The summary page: before and after side by side.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ip2p::io::write_whole;
use ip2p::{Error, Result};

use crate::manifest::{Made, made_in};

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ip2p batch</title>
<style>
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { margin: 2rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(34rem, 100%), 1fr)); gap: 2rem; }
figure { margin: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 4px; }
img { width: 100%; height: auto; display: block; background: #8883; }
figcaption { margin-top: .4rem; overflow-wrap: anywhere; }
small { opacity: .7; }
</style>
"#;

/// Writes `index.html` into a folder of results, from its manifests: each photo beside what became of it, with the
/// sentence, the seed and the scales.
///
/// The links are relative, so that the page can be moved together with photos and results. Returns where it is.
///
/// # Errors
///
/// Those of [`made_in`], and [`Error::Io`] if it cannot be written.
pub fn write_page(folder: impl AsRef<Path>) -> Result<PathBuf> {
    let folder = folder.as_ref();
    let place = folder.join("index.html");
    let page = page(&made_in(folder)?);
    for _ in 0..ATTEMPTS {
        match put(page.as_bytes(), &folder.join(BESIDE), &place) {
            // Another shard has come to its end at the same time, and tidied up.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            done => return done.map(|()| place),
        }
    }
    // It has written its page, which is that of all.
    Ok(place)
}

/// Where the page is written, within the folder, before it gets its place: what a kill leaves of it there the next page takes
/// away.
const BESIDE: &str = ".ip2p-page";

/// How often it is begun again if another process tidies up meanwhile.
const ATTEMPTS: usize = 5;

fn put(page: &[u8], beside: &Path, place: &Path) -> Result<()> {
    fs::create_dir_all(beside).map_err(|error| Error::io(beside, error))?;
    let file = beside.join("index.html");
    write_whole(&file, page)?;
    fs::rename(&file, place).map_err(|error| Error::io(place, error))?;
    // If it stays, the next page takes it away.
    let _ = fs::remove_dir_all(beside);
    Ok(())
}

fn page(made: &[Made]) -> String {
    let mut page = HEAD.to_owned();
    let pictures = if made.len() == 1 {
        "picture"
    } else {
        "pictures"
    };
    let _ = writeln!(page, "<h1>{} {pictures}</h1>\n<main>", made.len());
    for one in made {
        figure(&mut page, one);
    }
    page.push_str("</main>\n</html>\n");
    page
}

fn figure(page: &mut String, made: &Made) {
    let settings = &made.settings;
    let (before, after) = (link(&made.input), link(&made.output));
    let sentence = escape(&settings.instruction);
    let (output, sampler) = (escape(&made.output), escape(&settings.sampler));
    let _ = writeln!(
        page,
        "<figure>\n<div class=\"pair\"><a href=\"{before}\"><img src=\"{before}\" alt=\"before\" loading=\"lazy\"></a>\
         <a href=\"{after}\"><img src=\"{after}\" alt=\"{sentence}\" loading=\"lazy\"></a></div>\n\
         <figcaption>{sentence}<br><small>{output} · seed {} · text scale {} · image scale {} · {} steps of {sampler}",
        settings.seed, settings.text_scale, settings.image_scale, settings.steps,
    );
    for warning in &made.warnings {
        let _ = write!(page, "<br>{}", escape(warning));
    }
    page.push_str("</small></figcaption>\n</figure>\n");
}

/// A relative path, or a whole one, as a link.
fn link(path: &str) -> String {
    let whole = Path::new(path).is_absolute();
    let mut link = String::from(if whole { "file://" } else { "" });
    if whole && !path.starts_with('/') {
        link.push('/');
    }
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                link.push(char::from(byte));
            }
            _ => {
                let _ = write!(link, "%{byte:02X}");
            }
        }
    }
    link
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use ip2p::EditRecord;

    use super::*;

    #[test]
    fn a_page_shows_the_pair_and_nothing_in_it_is_markup_of_the_users() {
        let made = Made {
            format: 1,
            row: 1,
            output: "x y/a#1.png".into(),
            input: "../in/ä\"b.jpg".into(),
            fingerprint: String::new(),
            sha256: String::new(),
            settings: EditRecord {
                instruction: "<script>\"&\"</script>".into(),
                seed: 42,
                ..EditRecord::default()
            },
            warnings: vec!["<b>".into()],
        };
        let page = page(&[made]);
        assert!(page.contains("src=\"x%20y/a%231.png\""), "{page}");
        assert!(page.contains("src=\"../in/%C3%A4%22b.jpg\""), "{page}");
        assert!(page.contains("&lt;script&gt;&quot;&amp;&quot;"), "{page}");
        assert!(page.contains("seed 42 · text scale 7.5 · image scale 1.5"));
        assert!(
            !page.contains("<script>") && !page.contains("<b>"),
            "{page}"
        );
    }

    #[test]
    fn what_a_kill_left_of_a_page_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(BESIDE);
        fs::create_dir(&left).unwrap();
        fs::write(left.join(".ip2p-x"), "half").unwrap();
        write_page(folder.path()).unwrap();
        let names = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["index.html"]);
    }
}
