//! Tokens of those who come over TCP: kept by their digest alone, each good for some verbs, in one scope, for some
//! time.
use crate::Peer;
use bursar_interface::Principal;
use hyper::Method;
use sha2::{Digest, Sha256};
use std::time::SystemTime;

/// A user id that no process has: a bearer disposes of no process of this machine.
const NOBODY: u32 = u32::MAX;

/// A token.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// sha256 of the secret of `Authorization: Bearer …`.
    pub digest: [u8; 32],
    /// The scope that its bearer acts in, and sees no more than.
    pub scope: String,
    /// What for.
    pub verbs: Vec<Verb>,
    /// After this it is as if it were not there.
    pub until: Option<SystemTime>,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Looking.
    Read,
    /// Asking for leases, and all that a holder does with them; the tools under `/mcp` as well.
    Claim,
    /// What operators do, where the scope is the root.
    Operate,
}

impl Verb {
    /// The verb of a name.
    pub fn named(name: &str) -> Option<Verb> {
        match name {
            "read" => Some(Verb::Read),
            "claim" => Some(Verb::Claim),
            "operate" => Some(Verb::Operate),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Read => "read",
            Verb::Claim => "claim",
            Verb::Operate => "operate",
        }
    }

    /// What a request needs.
    pub(crate) fn of(method: &Method, path: &str) -> Verb {
        let claims = path == "/mcp" || path == "/v1/batch" || path == "/v1/claims";
        match *method {
            Method::GET | Method::HEAD => Verb::Read,
            Method::POST if claims || path.starts_with("/v1/claims/") => Verb::Claim,
            _ => Verb::Operate,
        }
    }
}

/// The digest of a secret.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

impl Bearer {
    /// Whether a secret of this digest is its own, at this time. Digests are compared: how long that takes says
    /// nothing of the secret.
    pub(crate) fn is(&self, digest: &[u8; 32], now: SystemTime) -> bool {
        self.digest == *digest && self.until.is_none_or(|until| now < until)
    }

    /// How its digest begins, by which an operator finds it in the config.
    pub(crate) fn mark(&self) -> String {
        self.digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it is good for something.
    pub(crate) fn may(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// Whom its bearer acts as.
    pub(crate) fn acts_as(&self, door: &Peer) -> (Peer, Principal) {
        let admin = self.may(Verb::Operate) && self.scope.is_empty();
        let peer = Peer { uid: if admin { door.uid } else { NOBODY }, ..*door };
        (peer, Principal { uid: peer.uid, admin, root: self.scope.clone(), within: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_token_is_good_until_its_time_and_for_its_verbs_alone() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let second = Duration::from_secs(1);
        let bearer = Bearer {
            digest: digest("secret"),
            scope: "team".into(),
            verbs: vec![Verb::Read, Verb::Operate],
            until: Some(now),
        };
        assert!(bearer.is(&digest("secret"), now - second));
        assert!(!bearer.is(&digest("secret"), now));
        assert!(!bearer.is(&digest("secre"), now - second) && !bearer.is(&digest(""), now - second));
        assert!(bearer.may(Verb::Read) && !bearer.may(Verb::Claim));
        let door = Peer { uid: 7, gid: 7, pid: None, unseen: false };
        let (peer, principal) = bearer.acts_as(&door);
        assert_eq!((peer.uid, principal.admin, principal.root.as_str()), (NOBODY, false, "team"));
        let (peer, principal) = Bearer { scope: String::new(), ..bearer }.acts_as(&door);
        assert_eq!((peer.uid, principal.admin), (7, true));
    }

    #[test]
    fn each_request_needs_one_verb() {
        for (method, path, verb) in [
            (Method::GET, "/v1/claims", Verb::Read),
            (Method::POST, "/v1/claims", Verb::Claim),
            (Method::POST, "/v1/claims/7/release", Verb::Claim),
            (Method::POST, "/v1/batch", Verb::Claim),
            (Method::POST, "/mcp", Verb::Claim),
            (Method::POST, "/v1/apply", Verb::Operate),
            (Method::PUT, "/v1/pools/cpu/x", Verb::Operate),
            (Method::POST, "/v1/plugins", Verb::Operate),
            (Method::DELETE, "/v1/claims/7", Verb::Operate),
        ] {
            assert_eq!(Verb::of(&method, path), verb, "{method} {path}");
        }
        assert_eq!(
            ["read", "claim", "operate", "x"].map(Verb::named),
            [Some(Verb::Read), Some(Verb::Claim), Some(Verb::Operate), None]
        );
    }
}
