//! Files of users as `htpasswd -B` writes them: a name, a colon, and a hash of a password by bcrypt in each line.

use std::fmt;

use bcrypt::HashParts;

/// The largest cost of a hash. One step more takes twice as long: 15 take some two seconds of a processor, `htpasswd -B` has 5.
const COST: u32 = 15;

/// A hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hash(String);

/// One who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) hash: Hash,
}

/// Why a line lets nobody in. It never quotes the line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// There is no colon.
    #[error("it is no NAME:HASH")]
    Form,
    /// The hash is of another kind, or no hash.
    #[error("its hash is none of bcrypt ($2y$, $2b$ or $2a$), as `htpasswd -B` makes them")]
    Kind,
    /// The hash takes too long to compute.
    #[error("its hash has a cost of {0}, over the limit of {COST}")]
    Cost(u32),
}

impl Hash {
    fn parse(text: &str) -> Result<Self, LineError> {
        // The fourth kind is that of a faulty old library.
        if !["$2y$", "$2b$", "$2a$"].iter().any(|prefix| text.starts_with(prefix)) {
            return Err(LineError::Kind);
        }
        let parts: HashParts = text.parse().map_err(|_| LineError::Kind)?;
        match parts.get_cost() {
            4..=COST => Ok(Self(text.into())),
            cost => Err(LineError::Cost(cost)),
        }
    }

    /// Tells whether it is the hash of a password. It takes as long as the hash's cost says, on the thread that calls.
    pub(super) fn is_of(&self, password: &str) -> bool {
        bcrypt::verify(password, &self.0).unwrap_or(false)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hash(…)")
    }
}

/// Returns the users in a file, and the lines that name none, by their numbers, which begin at 1.
pub(super) fn parse(bytes: &[u8]) -> (Vec<Entry>, Vec<(usize, LineError)>) {
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match entry(line) {
            Ok(entry) => entries.push(entry),
            Err(error) => faults.push((index + 1, error)),
        }
    }
    (entries, faults)
}

fn entry(line: &[u8]) -> Result<Entry, LineError> {
    let line = std::str::from_utf8(line).map_err(|_| LineError::Form)?;
    match line.split_once(':') {
        Some((name, hash)) if !name.is_empty() => Ok(Entry { name: name.into(), hash: Hash::parse(hash)? }),
        _ => Err(LineError::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `secret`, as `htpasswd -B` makes it.
    fn hash(prefix: &str) -> String {
        bcrypt::hash("secret", 4).unwrap().replacen("$2b$", prefix, 1)
    }

    #[test]
    fn takes_what_htpasswd_writes() {
        let text = format!("# users\n\n ann:{} \r\nbob:{}\ncid:{}", hash("$2y$"), hash("$2a$"), hash("$2b$"));
        let (entries, faults) = parse(text.as_bytes());
        assert_eq!(faults, []);
        assert_eq!(
            entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(),
            ["ann", "bob", "cid"]
        );
        assert!(entries.iter().all(|entry| entry.hash.is_of("secret") && !entry.hash.is_of("Secret")));
        assert!(!format!("{entries:?}").contains("$2"));
    }

    #[test]
    fn says_which_line_is_of_another_kind_and_nothing_of_it() {
        let good = hash("$2y$");
        let text = format!(
            "a:$apr1$x$y\nb:{good}\nc:{{SHA}}x\nd\n:{good}\ne:{}\nf:{}\ng:plain",
            good.replacen("$04$", "$16$", 1),
            hash("$2x$")
        );
        let (entries, faults) = parse(text.as_bytes());
        assert_eq!(entries.len(), 1, "{entries:?}");
        let expected = [
            (1, LineError::Kind),
            (3, LineError::Kind),
            (4, LineError::Form),
            (5, LineError::Form),
            (6, LineError::Cost(16)),
            (7, LineError::Kind),
            (8, LineError::Kind),
        ];
        assert_eq!(faults, expected);
        assert!(faults.iter().all(|(_, error)| !error.to_string().contains("apr1")));
    }
}
