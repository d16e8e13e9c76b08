//! Tokens: how they are written, what is kept of them, and which one is presented.
//!
//! Of a secret only a keyed hash is kept. Knows texts and hashes; nothing of requests.

use std::{
    fmt::Write,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tokio_util::sync::CancellationToken;

use super::{AccessError, Owner, Role};

/// Below this a secret can be guessed: 16 characters of `openssl rand -base64` are 96 bits.
pub(super) const MIN_SECRET_CHARACTERS: usize = 16;
/// Longer than any secret that a tool makes.
const MAX_SECRET_CHARACTERS: usize = 256;
/// It is shown in pages, and stored beside what its owner uploads.
const MAX_NAME_CHARACTERS: usize = 64;
/// Each request with a token is compared with all of them.
const MAX_TOKENS: usize = 1_000;
/// So many tokens with their names and a comment each.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// What the owner of a token without a name begins with; no name may.
const UNNAMED: &str = "token-";

type Hash = [u8; 32];

/// Who has a token.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) owner: Owner,
    pub(super) role: Role,
    /// Cancelled when the token is no longer valid.
    pub(super) revoked: CancellationToken,
}

struct Entry {
    hash: Hash,
    identity: Arc<Identity>,
}

/// A token as it was written, without its secret.
pub(super) struct Parsed {
    hash: Hash,
    owner: Owner,
    role: Role,
}

/// All tokens that are valid at a moment.
#[derive(Default)]
pub(super) struct Tokens(Vec<Entry>);

/// The key of the hashes. It is random at each start, so that nobody can look up what a hash or the time of a comparison tells.
pub(super) struct HashKey(Hash);

impl HashKey {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    fn hash(&self, secret: &str) -> Option<Hash> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(secret.as_bytes());
        Some(mac.finalize().into_bytes().into())
    }

    /// Reads `[NAME:]ROLE:SECRET` or a bare secret, which is an admin's. The reason of a refusal does not have the secret.
    pub(super) fn parse(&self, text: &str) -> Result<Parsed, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (name, role, secret) = match parts[..] {
            [secret] => (None, Role::Admin, secret),
            [role, secret] => (None, parse_role(role)?, secret),
            [name, role, secret] => (Some(name), parse_role(role)?, secret),
            _ => return Err("it has more than two ':': write [NAME:]ROLE:SECRET".to_owned()),
        };
        check_secret(secret)?;
        let owner = match name {
            Some(name) => check_name(name)?.to_owned(),
            None => unnamed(secret),
        };
        let hash = self.hash(secret).ok_or("its secret cannot be hashed")?;
        Ok(Parsed { hash, owner: Owner(owner), role })
    }

    /// The tokens of a file: one on each line; empty lines and those that begin with `#` are left out.
    pub(super) fn read_file(&self, path: &Path) -> Result<Vec<Parsed>, AccessError> {
        let file_error = |cause| AccessError::File { path: path.to_owned(), cause };
        let file = std::fs::File::open(path).map_err(file_error)?;
        if file.metadata().map_err(file_error)?.mode() & 0o077 != 0 {
            tracing::warn!(
                file = %path.display(),
                "other users of this machine can read the tokens: chmod 600 the file"
            );
        }
        let mut text = String::new();
        // One byte more shows that there is more; the tokens behind a cut would be gone without a word.
        let read_bytes = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(file_error)?;
        if u64::try_from(read_bytes).map_or(true, |bytes| bytes > MAX_FILE_BYTES) {
            let why = format!("it has more than {MAX_FILE_BYTES} bytes");
            return Err(file_error(io::Error::new(io::ErrorKind::FileTooLarge, why)));
        }
        let lines = text.lines().map(str::trim).enumerate();
        let tokens = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let parse = |(index, line): (usize, &str)| {
            let place = || format!("line {} of {}", index + 1, path.display());
            self.parse(line).map_err(|why| AccessError::Token { place: place(), why })
        };
        tokens.map(parse).collect()
    }
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::named(text).ok_or_else(|| {
        "it has no role that there is: write admin, author, controller or viewer before the secret".to_owned()
    })
}

fn check_secret(secret: &str) -> Result<(), String> {
    // What a header can carry after `Bearer` (RFC 6750, section 2.1).
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !secret.bytes().all(is_allowed) {
        return Err("its secret may have letters, digits and -._~+/= only".to_owned());
    }
    if secret.len() < MIN_SECRET_CHARACTERS {
        return Err(format!(
            "its secret has fewer than {MIN_SECRET_CHARACTERS} characters and could be guessed; `openssl rand -hex 32` makes a good one"
        ));
    }
    if secret.len() > MAX_SECRET_CHARACTERS {
        return Err(format!("its secret has more than {MAX_SECRET_CHARACTERS} characters"));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<&str, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte);
    let is_name = (1..=MAX_NAME_CHARACTERS).contains(&name.len()) && name.bytes().all(is_allowed);
    if is_name && !name.starts_with(UNNAMED) {
        return Ok(name);
    }
    Err(format!(
        "its name must have 1 to {MAX_NAME_CHARACTERS} letters, digits or -._@, and not begin with {UNNAMED:?}"
    ))
}

/// A name that stays the same over restarts, and from which the secret cannot be had.
fn unnamed(secret: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"scenecast owner\0");
    hash.update(secret.as_bytes());
    hash.finalize().iter().take(8).fold(UNNAMED.to_owned(), |mut name, byte| {
        // Writing to a String does not fail.
        let _ = write!(name, "{byte:02x}");
        name
    })
}

impl Tokens {
    /// These, where a token that was valid before stays the same one.
    pub(super) fn replace_with(&self, parsed: Vec<Parsed>) -> Result<Self, AccessError> {
        if parsed.len() > MAX_TOKENS {
            return Err(AccessError::TooManyTokens { most: MAX_TOKENS });
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(parsed.len());
        for Parsed { hash, owner, role } in parsed {
            if entries.iter().any(|entry| entry.hash == hash) {
                return Err(AccessError::SameSecret { name: owner.0 });
            }
            let before = self.0.iter().find(|entry| {
                entry.hash == hash && entry.identity.owner == owner && entry.identity.role == role
            });
            let identity = match before {
                Some(entry) => Arc::clone(&entry.identity),
                None => Arc::new(Identity { owner, role, revoked: CancellationToken::new() }),
            };
            entries.push(Entry { hash, identity });
        }
        Ok(Self(entries))
    }

    /// Ends what came with tokens that are not among `now`; says how many they were.
    pub(super) fn revoke_all_but(&self, now: &Self) -> usize {
        let stays = |entry: &Entry| now.0.iter().any(|other| Arc::ptr_eq(&entry.identity, &other.identity));
        let gone = self.0.iter().filter(|entry| !stays(entry));
        gone.map(|entry| entry.identity.revoked.cancel()).count()
    }

    /// Whose secret that is. Takes the same time whichever it is, and whether it is one.
    pub(super) fn find(&self, key: &HashKey, secret: &str) -> Option<&Arc<Identity>> {
        let hash = key.hash(secret)?;
        let mut found = u32::MAX;
        for (index, entry) in (0_u32..).zip(&self.0) {
            found.conditional_assign(&index, entry.hash.ct_eq(&hash));
        }
        let index = usize::try_from(found).ok()?;
        self.0.get(index).map(|entry| &entry.identity)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn tokens(texts: &[&str]) -> (HashKey, Tokens) {
        let key = HashKey::random();
        let parsed = texts.iter().map(|text| key.parse(text).unwrap()).collect();
        let tokens = Tokens::default().replace_with(parsed).unwrap();
        (key, tokens)
    }

    #[test]
    fn a_token_has_a_role_and_perhaps_a_name() {
        let key = HashKey::random();
        let parsed = key.parse(&format!("alice:author:{SECRET}")).unwrap();
        assert_eq!((parsed.owner.0.as_str(), parsed.role), ("alice", Role::Author));
        let unnamed = key.parse(&format!("viewer:{SECRET}")).unwrap();
        assert!(unnamed.owner.0.starts_with("token-") && !unnamed.owner.0.contains(SECRET));
        assert_eq!(unnamed.role, Role::Viewer);
        assert_eq!(key.parse(SECRET).unwrap().role, Role::Admin);
        // The owner is the same after a restart.
        assert_eq!(HashKey::random().parse(SECRET).unwrap().owner, unnamed.owner);
    }

    #[test]
    fn what_is_wrong_with_a_token_is_said_without_its_secret() {
        let key = HashKey::random();
        for (text, word) in [
            ("short", "16 characters"),
            ("admin:short", "16 characters"),
            ("root:0123456789abcdef", "admin, author, controller or viewer"),
            ("a:b:c:0123456789abcdef", "NAME"),
            ("al ice:admin:0123456789abcdef", "name"),
            (":admin:0123456789abcdef", "name"),
            ("token-x:admin:0123456789abcdef", "name"),
            ("admin:0123456789abcdef ", "letters"),
            (&"x".repeat(257), "256"),
            ("", "16 characters"),
        ] {
            let Err(why) = key.parse(text) else { panic!("{text:?} was taken") };
            assert!(why.contains(word) && !why.contains("0123456789abcdef"), "{text:?}: {why}");
        }
    }

    #[test]
    fn only_the_whole_secret_is_found() {
        let other = "fedcba9876543210";
        let (key, tokens) = tokens(&[&format!("alice:viewer:{SECRET}"), &format!("bob:admin:{other}")]);
        assert_eq!(tokens.find(&key, SECRET).unwrap().owner.0, "alice");
        assert_eq!(tokens.find(&key, other).unwrap().owner.0, "bob");
        for text in ["", "0123456789abcde", "0123456789abcdefg", "alice:viewer:0123456789abcdef"] {
            assert!(tokens.find(&key, text).is_none(), "{text}");
        }
        assert!(Tokens::default().find(&key, SECRET).is_none());
    }

    #[test]
    fn a_token_that_vanished_or_changed_is_revoked_and_another_one_is_not() {
        let (key, before) =
            tokens(&["a:viewer:0123456789abcdef", "b:viewer:1123456789abcdef", "c:viewer:2123456789abcdef"]);
        let parse = |text| key.parse(text).unwrap();
        let now = before
            .replace_with(vec![parse("b:viewer:1123456789abcdef"), parse("c:admin:2123456789abcdef")])
            .unwrap();
        let identity = |tokens: &Tokens, secret| Arc::clone(tokens.find(&key, secret).unwrap());
        let [a, b, c] = ["0123456789abcdef", "1123456789abcdef", "2123456789abcdef"]
            .map(|secret| identity(&before, secret));
        assert_eq!(before.revoke_all_but(&now), 2);
        assert!(a.revoked.is_cancelled() && !b.revoked.is_cancelled() && c.revoked.is_cancelled());
        assert!(!identity(&now, "2123456789abcdef").revoked.is_cancelled());
    }

    #[test]
    fn a_secret_has_one_owner() {
        let key = HashKey::random();
        let parsed = vec![key.parse("a:viewer:0123456789abcdef").unwrap(), key.parse(SECRET).unwrap()];
        assert!(matches!(Tokens::default().replace_with(parsed), Err(AccessError::SameSecret { .. })));
    }

    #[test]
    fn a_file_that_is_too_long_is_refused_and_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let mut text = "alice:viewer:0123456789abcdef\n".to_owned();
        while text.len() <= usize::try_from(MAX_FILE_BYTES).unwrap() {
            text.push_str("# a long story\n");
        }
        std::fs::write(&path, &text).unwrap();
        let Err(error) = HashKey::random().read_file(&path) else { panic!("it was taken") };
        assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
        text.truncate(usize::try_from(MAX_FILE_BYTES).unwrap());
        std::fs::write(&path, &text).unwrap();
        assert_eq!(HashKey::random().read_file(&path).unwrap().len(), 1);
    }

    #[test]
    fn a_file_has_a_token_on_each_line_and_names_the_line_that_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let key = HashKey::random();
        std::fs::write(&path, "# who\n\n  alice:viewer:0123456789abcdef  \nadmin:1123456789abcdef\n")
            .unwrap();
        assert_eq!(key.read_file(&path).unwrap().len(), 2);
        std::fs::write(&path, "alice:viewer:0123456789abcdef\nbob:viewer:secret\n").unwrap();
        let Err(error) = key.read_file(&path) else { panic!("it was taken") };
        let error = error.to_string();
        assert!(error.contains("line 2") && !error.contains("bob:viewer:secret"), "{error}");
    }
}
