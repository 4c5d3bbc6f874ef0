//! A record in XMP: the metadata of JPEG, WebP and TIFF that has room for anyone's fields.

/// What a JPEG's segment of XMP begins with.
pub(crate) const JPEG_PREFIX: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// The tag of XMP in a TIFF.
pub(crate) const TIFF_TAG: u16 = 700;

const OPEN: &str = "<ip2p:record>";
const CLOSE: &str = "</ip2p:record>";
/// As a tool may write a short field that it read.
const ATTRIBUTE: &str = "ip2p:record=";

/// A packet that holds this JSON.
pub(crate) fn packet(json: &str) -> String {
    let escaped = json
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!(
        "<?xpacket begin=\"\u{FEFF}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
         <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description rdf:about=\"\" xmlns:ip2p=\"https://github.com/ip2p/ip2p/ns/1.0/\">\
         {OPEN}{escaped}{CLOSE}\
         </rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"w\"?>"
    )
}

/// The JSON in a packet, if there is any of ours.
pub(crate) fn parse_packet(packet: &[u8]) -> Option<String> {
    let packet = std::str::from_utf8(packet).ok()?;
    let element = || Some(packet.split_once(OPEN)?.1.split_once(CLOSE)?.0);
    let attribute = || {
        let value = packet.split_once(ATTRIBUTE)?.1;
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        Some(value[1..].split_once(quote)?.0)
    };
    element().or_else(attribute).map(unescape)
}

/// Puts a segment that holds this JSON behind the first ones of a JPEG, where readers look for it.
pub(crate) fn insert_into_jpeg(jpeg: &mut Vec<u8>, json: &str) {
    let payload = [JPEG_PREFIX, packet(json).as_bytes()].concat();
    let length = u16::try_from(payload.len() + 2).expect("the caller left out what is too long");
    let mut segment = vec![0xFF, 0xE1];
    segment.extend(length.to_be_bytes());
    segment.extend(payload);
    // Behind JFIF's and EXIF's.
    let mut at = 2;
    while let Some(&[0xFF, 0xE0 | 0xE1, high, low]) = jpeg.get(at..at + 4) {
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
    jpeg.splice(at..at, segment);
}

/// Replaces XML's references by what they stand for; what is none stays.
fn unescape(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        made.push_str(before);
        let reference = after
            .split_once(';')
            .and_then(|(name, after)| Some((referred(name)?, after)));
        if let Some((c, after)) = reference {
            made.push(c);
            rest = after;
        } else {
            made.push('&');
            rest = after;
        }
    }
    made.push_str(rest);
    made
}

fn referred(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_that_another_tool_rewrote_is_read() {
        let packet = br#"<rdf:Description ip2p:record="{&quot;a&quot;: &#39;&#x3C;&#39;}"/>"#;
        assert_eq!(parse_packet(packet).unwrap(), r#"{"a": '<'}"#);
    }

    #[test]
    fn what_is_not_ours_or_cut_off_is_none() {
        let whole = packet("{}");
        let end = whole.find(CLOSE).unwrap() + CLOSE.len();
        for length in (0..end).filter(|&at| whole.is_char_boundary(at)) {
            assert_eq!(
                parse_packet(&whole.as_bytes()[..length]),
                None,
                "{length} bytes"
            );
        }
        assert_eq!(parse_packet(b"\xFF\xFE<ip2p:record>{}</ip2p:record>"), None);
        assert_eq!(parse_packet(b"ip2p:record="), None);
        assert_eq!(parse_packet("ip2p:record=❄".as_bytes()), None);
    }

    proptest! {
        #[test]
        fn a_text_comes_back(text in "[&;#<>\"'a-z{}\\PC]{0,40}") {
            prop_assert_eq!(parse_packet(packet(&text).as_bytes()), Some(text));
        }
    }
}
