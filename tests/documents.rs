//! The pages of this repository: no link is broken, no table appears twice, and the README stays short.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const README_LINES: usize = 150;
/// Directories with files that are not ours.
const FOREIGN: [&str; 3] = [".git", "node_modules", "target"];

#[test]
fn each_link_leads_to_a_file_and_a_heading() {
    let mut problems = Vec::new();
    for page in files("md") {
        for link in links(&read(&page)) {
            if let Some(problem) = problem(&page, &link) {
                problems.push(format!("{}: {link} {problem}", page.display()));
            }
        }
    }
    assert!(problems.is_empty(), "broken links:\n{}", problems.join("\n"));
}

#[test]
fn no_table_appears_twice() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in [files("md"), files("rs")].concat() {
        for table in tables(&markdown(&file)) {
            places.entry(table).or_default().push(file.display().to_string());
        }
    }
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "tables that appear twice: {places:#?}");
}

#[test]
fn the_readme_stays_short() {
    let lines = read(Path::new("README.md")).lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines, of at most {README_LINES}");
}

#[test]
fn each_crate_has_a_readme() {
    let crates = fs::read_dir(Path::new(ROOT).join("crates")).unwrap();
    let mut bare: Vec<_> = crates.map(|entry| entry.unwrap().path()).collect();
    // A folder without a manifest can be left over from a crate of another branch.
    bare.retain(|path| path.join("Cargo.toml").exists() && !path.join("README.md").exists());
    assert!(bare.is_empty(), "crates without a README.md: {bare:?}");
}

#[test]
fn headings_get_the_anchors_of_github() {
    let page = "# A title\n## `Retry` & more: [2](x.md) ##\n## A title\n```sh\n# a comment\n```\n#no heading\n";
    let expected = ["a-title", "a-title-1", "retry--more-2"].map(str::to_owned);
    assert_eq!(anchors(page), BTreeSet::from(expected));
}

#[test]
fn links_are_found_outside_of_code() {
    let page = "[a\nb](one.md) ![c](two.png \"title\") `[d](code)`\n\n[e]: <three.md>\n\n<img src=\"four.png\">\n```\n[f](code)\n```\n";
    assert_eq!(links(page), ["one.md", "two.png", "four.png", "three.md"]);
}

#[test]
fn tables_are_compared_by_their_words() {
    let table = tables("| a  | `b` |\n|---|:--|\n| C | [d](x.md) |\n| e | f |\n");
    assert_eq!(table, tables("|A|b|\n| --- | --- |\n|c|d x md|\n"));
    assert_eq!(table.len(), 1);
}

/// The files with this extension, by their paths in the repository.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(ROOT).join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let path = folder.join(&name);
            if entry.file_type().unwrap().is_dir() {
                if FOREIGN.iter().all(|foreign| name != *foreign) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn read(file: &Path) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap()
}

/// A page, or the documentation in a source file.
fn markdown(file: &Path) -> String {
    let text = read(file);
    if file.extension().is_some_and(|e| e == "md") {
        return text;
    }
    let documentation = text.lines().map(|line| {
        let line = line.trim_start();
        line.strip_prefix("//!").or_else(|| line.strip_prefix("///")).unwrap_or_default().trim()
    });
    documentation.collect::<Vec<_>>().join("\n")
}

/// Why a link is broken.
fn problem(page: &Path, link: &str) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (link, None),
    };
    let root = Path::new(ROOT).canonicalize().unwrap();
    let target = match file {
        "" => root.join(page),
        file => root.join(page.parent()?).join(file),
    };
    let Ok(target) = target.canonicalize() else { return Some("does not exist") };
    if !target.starts_with(&root) {
        return Some("is outside of the repository");
    }
    let anchor = anchor?;
    if target.extension().is_none_or(|e| e != "md") {
        return Some("has an anchor, but is not a page");
    }
    let found = anchors(&fs::read_to_string(target).unwrap()).contains(anchor);
    (!found).then_some("has no such heading")
}

/// The targets of links and images: `[text](here)`, `[label]: here`, `href="here"`, `src="here"`.
fn links(page: &str) -> Vec<String> {
    let text = without_code_spans(&without_code_blocks(page));
    let inline =
        ["](", "href=\"", "src=\""].into_iter().flat_map(|start| text.split(start).skip(1));
    let labelled = text.lines().filter(|line| line.starts_with('['));
    let labelled = labelled.filter_map(|line| Some(line.split_once("]: ")?.1));
    let ends = [')', '"', '>', ' ', '\n'];
    let links = inline.chain(labelled).map(|link| link.trim_start_matches('<'));
    links.map(|link| link.split(ends).next().unwrap_or_default().to_owned()).collect()
}

/// The anchors that GitHub gives to the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in without_code_blocks(page).lines() {
        let title = line.trim_start_matches('#');
        if !(1..=6).contains(&(line.len() - title.len())) || !title.starts_with(' ') {
            continue;
        }
        let anchor = anchor(title.trim_end_matches('#').trim());
        let count = counts.entry(anchor.clone()).or_default();
        anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

/// The letters, digits, `_` and `-` of a title, in lower case, with a `-` for each space.
fn anchor(title: &str) -> String {
    let mut parts = title.split("](");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Only the text of a link counts.
        text.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    let kept = text.chars().filter(|c| c.is_alphanumeric() || "_- ".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The words of each table's header and first row.
fn tables(page: &str) -> Vec<String> {
    let text = without_code_blocks(page);
    let lines: Vec<_> = text.lines().collect();
    let tables = lines.windows(3).filter(|lines| {
        let is_rule = lines[1].contains("---") && lines[1].chars().all(|c| "|-: ".contains(c));
        is_rule && lines.iter().all(|line| line.starts_with('|'))
    });
    tables.map(|lines| words(&[lines[0], lines[2]].join(" "))).collect()
}

fn words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A page with each line between code fences replaced by an empty one.
fn without_code_blocks(page: &str) -> String {
    let mut open: Option<&str> = None;
    let mut text = String::new();
    for line in page.lines() {
        let start = line.trim_start();
        let fence = ["```", "~~~"].into_iter().find(|fence| start.starts_with(fence));
        match (open, fence) {
            (None, None) => text.push_str(line),
            (None, Some(_)) => open = fence,
            (Some(_), _) if open == fence => open = None,
            (Some(_), _) => {}
        }
        text.push('\n');
    }
    text
}

/// A page without `code` spans, none of which extends beyond a paragraph.
fn without_code_spans(page: &str) -> String {
    let mut text = String::new();
    for paragraph in page.split_inclusive("\n\n") {
        let mut rest = paragraph;
        while let Some((before, after)) = rest.split_once('`') {
            text.push_str(before);
            rest = after.split_once('`').map_or(after, |(_, rest)| rest);
        }
        text.push_str(rest);
    }
    text
}
