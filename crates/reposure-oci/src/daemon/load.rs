//! What a daemon says of images that it was given.

use serde::Deserialize;

/// How the line begins that names an image. Podman says it of each, or of all at once, separated by commas.
const LOADED: [&str; 4] = ["Loaded image: ", "Loaded image ID: ", "Loaded image(s): ", "Loaded images: "];

/// One of the lines that a daemon sends while it loads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    stream: Option<String>,
    error: Option<String>,
}

/// Reads the lines, and returns the names of the images that were loaded, or what went wrong.
pub(super) fn outcome(text: &[u8]) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for line in serde_json::Deserializer::from_slice(text).into_iter::<Line>() {
        // What is no JSON says nothing; that nothing was loaded shows below.
        let Ok(line) = line else { break };
        if let Some(error) = line.error {
            return Err(error);
        }
        let said = line.stream.unwrap_or_default();
        names.extend(said.lines().flat_map(names_in));
    }
    if names.is_empty() { Err("it names no image that it has loaded".into()) } else { Ok(names) }
}

fn names_in(line: &str) -> impl Iterator<Item = String> {
    let named = LOADED.iter().find_map(|start| line.strip_prefix(start)).unwrap_or_default();
    named.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_loaded_or_what_went_wrong() {
        let docker = br#"{"stream":"Loaded image: app:v1\n"}
{"stream":"Loaded image ID: sha256:00\n"}"#;
        assert_eq!(outcome(docker), Ok(vec!["app:v1".into(), "sha256:00".into()]));
        let podman = br#"{"stream":"Loaded image(s): localhost/a:1,localhost/b:1"}"#;
        assert_eq!(outcome(podman), Ok(vec!["localhost/a:1".into(), "localhost/b:1".into()]));
        let failed = br#"{"status":"Loading"}{"errorDetail":{"message":"no space"},"error":"no space"}"#;
        assert_eq!(outcome(failed), Err("no space".into()));
        assert!(outcome(b"").is_err());
        assert!(outcome(b"<html>").is_err());
    }
}
