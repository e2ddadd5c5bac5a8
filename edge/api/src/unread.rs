//! What is said to one whose request could not even be read, as headers that are too long: hyper answers with a bare
//! status, and here it becomes a refusal like any other. (Its answer is made below the router, so nothing else sees it.)
use crate::{
    denial::Denial,
    framing::Wrong,
    limits::{HEADER_BYTES_MAX, HEADERS_MAX},
};
use hyper::StatusCode;

/// The bytes of a bare answer of hyper's in the contract's form, with what was `wrong` where that was found before hyper saw
/// it; `None` for any other.
pub(crate) fn told(bytes: &[u8], wrong: Option<Wrong>) -> Option<Vec<u8>> {
    let refused = refused(bytes)?;
    let (status, message, hint) = match wrong {
        Some(wrong) => why(wrong),
        None => match refused {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => why(Wrong::Long),
            StatusCode::URI_TOO_LONG => (
                refused,
                "the request's path is too long",
                format!("send at most {HEADER_BYTES_MAX} bytes with all headers"),
            ),
            StatusCode::BAD_REQUEST => (
                refused,
                "this is no HTTP request",
                "send HTTP/1.1, each header on a line of its own".to_owned(),
            ),
            _ => return None,
        },
    };
    Some(Denial::of(status, message.into()).hint(hint).raw())
}

/// The status of a bare answer.
fn refused(bytes: &[u8]) -> Option<StatusCode> {
    let head = std::str::from_utf8(bytes.strip_suffix(b"\r\n\r\n")?).ok()?;
    let (line, headers) = head.split_once("\r\n")?;
    let status = line.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    let bare = |header: &str| {
        let name = header.split(':').next().unwrap_or_default();
        ["connection", "content-length", "date"].iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    let empty = headers.split("\r\n").any(|header| header.eq_ignore_ascii_case("content-length: 0"));
    if !empty || !headers.split("\r\n").all(bare) {
        return None;
    }
    StatusCode::from_bytes(status.as_bytes()).ok()
}

/// Status, message and hint.
fn why(wrong: Wrong) -> (StatusCode, &'static str, String) {
    let (message, hint) = match wrong {
        Wrong::Long => {
            return (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the request's line and headers are too long, or too many",
                format!("send at most {HEADERS_MAX} headers, {HEADER_BYTES_MAX} bytes together"),
            );
        }
        Wrong::LineFeed => ("a line of the request ends with LF alone", "end each line with CR and LF"),
        Wrong::Length => (
            "the request's Content-Length is no number, or there are two that differ",
            "send one Content-Length, in digits",
        ),
        Wrong::Coding => (
            "the request's Transfer-Encoding is not 'chunked' alone",
            "send 'Transfer-Encoding: chunked' once, or a Content-Length",
        ),
        Wrong::Both => {
            ("the request has a Content-Length and a Transfer-Encoding", "send the one or the other")
        }
    };
    (StatusCode::BAD_REQUEST, message, hint.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_answer_is_told_as_a_refusal_and_no_other_is_touched() {
        let date = "date: Thu, 26 Nov 2026 05:00:00 GMT\r\n\r\n";
        let bare = format!(
            "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n{date}"
        );
        let told_of =
            |bytes: &str| told(bytes.as_bytes(), None).map(|told| String::from_utf8(told).expect("text"));
        let refusal = told_of(&bare).expect("a refusal");
        assert!(refusal.starts_with("HTTP/1.1 431 "), "{refusal}");
        assert!(
            refusal.contains("application/problem+json") && refusal.contains("\"hint\":\"send at most 64"),
            "{refusal}"
        );
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 0\r\n\r\n",
            "4\r\nHTTP\r\n\r\n",
        ] {
            assert_eq!(told_of(other), None, "{other}");
        }
    }
}
