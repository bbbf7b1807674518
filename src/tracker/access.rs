// SPDX-License-Identifier: MPL-2.0

//! Who may use this tracker, and for which swarms?
//!
//! Three doors, each of which is open unless it is configured: the pages that browsers may come
//! from (`Origin`), the swarms that there may be, and tokens for private streams. A token is a JSON
//! Web Token (RFC 7519) signed with HS256, because every web backend can make one. Its claim `exp`
//! is required; `nbf` is heeded; `swarm`, an info hash or a list of them, limits it to these. It
//! comes in the URL (`wss://tracker.example/?token=…`) or in the announce (`"token": "…"`).

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;

use crate::swarm::ids::InfoHash;
use crate::swarm::tracker_messages::Extras;

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 4096;

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("this tracker does not serve that swarm")]
    Swarm,
    #[error("a token is needed")]
    NoToken,
    #[error("token is not valid")]
    Invalid,
    #[error("token has expired")]
    Expired,
    #[error("token is not valid yet")]
    Early,
    #[error("token is for other swarms")]
    OtherSwarm,
}

/// What a valid token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Seconds since 1970.
    expires: u64,
    /// None for all of them.
    swarms: Option<Vec<InfoHash>>,
}

/// The doors.
#[derive(Clone, Debug, Default)]
pub struct Access {
    origins: Option<Vec<String>>,
    swarms: Option<HashSet<InfoHash>>,
    key: Option<hmac::Key>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    swarm: Option<SwarmClaim>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SwarmClaim {
    One(InfoHash),
    Many(Vec<InfoHash>),
}

impl Access {
    /// `origins` as in `https://player.example`, without a slash at the end; `https://*.example`
    /// allows what ends so.
    pub fn new(
        origins: Option<Vec<String>>,
        swarms: Option<HashSet<InfoHash>>,
        secret: Option<&[u8]>,
    ) -> Self {
        Self { origins, swarms, key: secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)) }
    }

    /// Whether a page may connect. Programs other than browsers send no origin; they are kept out
    /// by tokens, not by this.
    pub fn allows_origin(&self, origin: Option<&str>) -> bool {
        let (Some(origins), Some(origin)) = (&self.origins, origin) else { return true };
        origins.iter().any(|allowed| match allowed.split_once('*') {
            None => allowed.eq_ignore_ascii_case(origin),
            Some((head, tail)) => {
                let origin = origin.to_ascii_lowercase();
                origin.strip_prefix(head).is_some_and(|rest| rest.len() > tail.len() && rest.ends_with(tail))
            }
        })
    }

    /// Looks at a token that came in the URL; without one, the announce has to carry it.
    ///
    /// # Errors
    ///
    /// [`Denied`], if there is a token and it is of no use.
    pub fn grant(&self, token: Option<&str>) -> Result<Option<Grant>, Denied> {
        match (&self.key, token) {
            (Some(key), Some(token)) => read(token, key, now()).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether a viewer with a grant may be in a swarm. A new token takes the place of the grant.
    ///
    /// # Errors
    ///
    /// [`Denied`].
    pub fn admit(
        &self,
        grant: &mut Option<Box<Grant>>,
        info_hash: &InfoHash,
        extras: &Extras,
    ) -> Result<(), Denied> {
        if self.swarms.as_ref().is_some_and(|swarms| !swarms.contains(info_hash)) {
            return Err(Denied::Swarm);
        }
        let Some(key) = &self.key else { return Ok(()) };
        if let Some(token) = &extras.token {
            *grant = Some(Box::new(read(token, key, now())?));
        }
        let grant = grant.as_ref().ok_or(Denied::NoToken)?;
        if grant.expires <= now() {
            return Err(Denied::Expired);
        }
        match &grant.swarms {
            Some(swarms) if !swarms.contains(info_hash) => Err(Denied::OtherSwarm),
            _ => Ok(()),
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn read(token: &str, key: &hmac::Key, now: u64) -> Result<Grant, Denied> {
    if token.len() > MAX_TOKEN {
        return Err(Denied::Invalid);
    }
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Denied::Invalid);
    let (signed, signature) = token.rsplit_once('.').ok_or(Denied::Invalid)?;
    // First of all: nothing else in it can be believed.
    hmac::verify(key, signed.as_bytes(), &decode(signature)?).map_err(|_| Denied::Invalid)?;
    let (header, claims) = signed.split_once('.').ok_or(Denied::Invalid)?;
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Denied::Invalid)?;
    if header.alg != "HS256" {
        return Err(Denied::Invalid);
    }
    let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| Denied::Invalid)?;
    if claims.exp <= now as f64 {
        return Err(Denied::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf > now as f64) {
        return Err(Denied::Early);
    }
    let swarms = claims.swarm.map(|swarm| match swarm {
        SwarmClaim::One(swarm) => vec![swarm],
        SwarmClaim::Many(swarms) => swarms,
    });
    Ok(Grant { expires: claims.exp as u64, swarms })
}

/// Reads a list of swarms: an info hash a line, as 20 characters or as 40 hexadecimal digits; `#`
/// begins a comment.
///
/// # Errors
///
/// The number of the line that is neither.
pub fn read_swarms(text: &str) -> Result<HashSet<InfoHash>, usize> {
    let line = |(number, line): (usize, &str)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let hash = if line.len() == 40 { from_hex(line) } else { InfoHash::from_binary_string(line).ok() };
        Some(hash.ok_or(number + 1))
    };
    text.lines().enumerate().filter_map(line).collect()
}

fn from_hex(text: &str) -> Option<InfoHash> {
    let mut bytes = [0; 20];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(InfoHash(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &[u8] = b"a secret of some length, please";
    const SWARM: &str = "hY9ib9HABjFb2MbwCQ+w";

    fn token_of(header: &Value, claims: &Value, secret: &[u8]) -> String {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    fn token(claims: Value) -> String {
        token_of(&json!({"alg": "HS256", "typ": "JWT"}), &claims, SECRET)
    }

    fn swarm(text: &str) -> InfoHash {
        InfoHash::from_binary_string(text).unwrap()
    }

    fn admit(access: &Access, grant: &mut Option<Box<Grant>>, token: Option<String>) -> Result<(), Denied> {
        access.admit(grant, &swarm(SWARM), &Extras { token, ..Extras::default() })
    }

    #[test]
    fn a_token_made_elsewhere_is_understood() {
        // By PyJWT: jwt.encode({"exp": 4102444800, "swarm": "hY9ib9HABjFb2MbwCQ+w"}, "secret").
        // Its parts are what RFC 7515 says, so that any other library makes the same.
        let claims = r#"{"exp":4102444800,"swarm":"hY9ib9HABjFb2MbwCQ+w"}"#;
        let signed =
            format!("{}.{}", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), signed.as_bytes());
        let token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
        let access = Access::new(None, None, Some(b"secret"));
        let expected = Grant { expires: 4_102_444_800, swarms: Some(vec![swarm(SWARM)]) };
        assert_eq!(access.grant(Some(&token)), Ok(Some(expected)));
        // RFC 7515, appendix A.1: a token with another's key is no token.
        let foreign = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0\
                       dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(access.grant(Some(foreign)), Err(Denied::Invalid));
        // With its own key, all of it is right, but it expired in 2011.
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let access = Access::new(None, None, Some(&BASE64_URL_SAFE_NO_PAD.decode(key).unwrap()));
        assert_eq!(access.grant(Some(foreign)), Err(Denied::Expired));
    }

    #[test]
    fn tokens_open_the_swarms_they_name_for_their_time() {
        let access = Access::new(None, None, Some(SECRET));
        let later = now() + 1000;
        let table = [
            (json!({"exp": later}), Ok(())),
            (json!({"exp": later as f64 + 0.5, "sub": "x", "swarm": SWARM}), Ok(())),
            (json!({"exp": later, "nbf": 1, "swarm": ["AAAAAAAAAAAAAAAAAAAA", SWARM]}), Ok(())),
            (json!({"exp": later, "swarm": []}), Err(Denied::OtherSwarm)),
            (json!({"exp": later, "swarm": "AAAAAAAAAAAAAAAAAAAA"}), Err(Denied::OtherSwarm)),
            (json!({"exp": later, "swarm": "short"}), Err(Denied::Invalid)),
            (json!({"exp": later, "nbf": later}), Err(Denied::Early)),
            (json!({"exp": 1}), Err(Denied::Expired)),
            (json!({"exp": "tomorrow"}), Err(Denied::Invalid)),
            (json!({}), Err(Denied::Invalid)),
            (json!([]), Err(Denied::Invalid)),
        ];
        for (claims, expected) in table {
            assert_eq!(admit(&access, &mut None, Some(token(claims.clone()))), expected, "{claims}");
        }
        assert_eq!(admit(&access, &mut None, None), Err(Denied::NoToken));
        assert_eq!(admit(&Access::default(), &mut None, None), Ok(()));
    }

    #[test]
    fn forged_tokens_open_nothing() {
        let access = Access::new(None, None, Some(SECRET));
        let claims = json!({"exp": now() + 1000});
        let good = token(claims.clone());
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let mut changed = good.clone().into_bytes();
        changed[good.find('.').unwrap() + 3] ^= 1;
        for forged in [
            token_of(&json!({"alg": "none"}), &claims, SECRET),
            token_of(&json!({"alg": "HS256"}), &claims, b"another secret"),
            format!("{signed}."),
            signed.to_owned(),
            format!("{signed}.{}", &signature[1..]),
            format!("{good}."),
            String::from_utf8_lossy(&changed).into_owned(),
            String::new(),
            "..".into(),
            "x".repeat(MAX_TOKEN + 1),
        ] {
            assert_eq!(admit(&access, &mut None, Some(forged.clone())), Err(Denied::Invalid), "{forged}");
        }
    }

    #[test]
    fn a_grant_lasts_until_it_expires_or_is_replaced() {
        let access = Access::new(None, None, Some(SECRET));
        let url = token(json!({"exp": now() + 1000}));
        let mut grant = access.grant(Some(&url)).unwrap().map(Box::new);
        assert_eq!(admit(&access, &mut grant, None), Ok(()));
        if let Some(grant) = &mut grant {
            grant.expires = now();
        }
        assert_eq!(admit(&access, &mut grant, None), Err(Denied::Expired));
        assert_eq!(admit(&access, &mut grant, Some(url)), Ok(()));
        assert_eq!(admit(&access, &mut grant, None), Ok(()));
    }

    #[test]
    fn pages_and_swarms_can_be_listed() {
        let origins = ["https://player.example", "https://*.shop.example"].map(String::from).to_vec();
        let access = Access::new(
            Some(origins),
            Some(
                read_swarms("# mine\n\n  00112233445566778899aabbccddeeff00112233\nhY9ib9HABjFb2MbwCQ+w\n")
                    .unwrap(),
            ),
            None,
        );
        for (origin, allowed) in [
            (Some("https://player.example"), true),
            (Some("HTTPS://Player.example"), true),
            (Some("http://player.example"), false),
            (Some("https://player.example.evil"), false),
            (Some("https://a.shop.example"), true),
            (Some("https://shop.example"), false),
            (Some("https://.shop.example"), false),
            (Some("null"), false),
            (None, true),
        ] {
            assert_eq!(access.allows_origin(origin), allowed, "{origin:?}");
        }
        assert_eq!(admit(&access, &mut None, None), Ok(()));
        let other = access.admit(&mut None, &swarm("AAAAAAAAAAAAAAAAAAAA"), &Extras::default());
        assert_eq!(other, Err(Denied::Swarm));
        assert_eq!(read_swarms("hY9ib9HABjFb2MbwCQ+w\nnonsense\n"), Err(2));
        assert_eq!(
            read_swarms("é0112233445566778899aabbccddeeff0011223"),
            Err(1),
            "not at a character's edge"
        );
        assert!(Access::default().allows_origin(Some("https://anything.example")));
    }
}
