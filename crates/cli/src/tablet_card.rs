//! The card on the device's own screen while pairing is open: QR code, address, PIN and, with TLS, the fingerprint of the authority in
//! lines that can be read aloud while a tablet's are looked at.

use sonotap::overlay::Canvas;
use sonotap::overlay::blend::{Clip, Painter, PxRect};
use sonotap::overlay::text::Typeface;
use sonotap::overlay::theme::Theme;
use sonotap_remote::PairingCard;

/// Largest and smallest size of a module of the QR code, px.
const MODULE_PX: std::ops::RangeInclusive<u32> = 2..=5;
/// Bytes of a fingerprint in a line, and in a group of it.
const LINE_BYTES: usize = 8;
const GROUP_BYTES: usize = 4;

/// The card, as large as fits a screen of that size, px. Of a fingerprint there is all or, on a screen too small for it, nothing.
pub fn picture_of(card: &PairingCard, screen: (u32, u32)) -> Canvas {
    let short = vec![card.address().to_owned(), format!("PIN {}", card.pin())];
    let mut whole = short.clone();
    whole.extend(card.fingerprint().map(authority_lines).unwrap_or_default());
    let fits = |canvas: &Canvas| canvas.width() <= screen.0 && canvas.height() <= screen.1;
    for lines in [&whole, &short] {
        for (module_px, is_beside) in MODULE_PX.rev().flat_map(|px| [(px, false), (px, true)]) {
            let picture = composed(card, lines, module_px, is_beside);
            if fits(&picture) {
                return picture;
            }
        }
    }
    composed(card, &short, *MODULE_PX.start(), false)
}

/// A fingerprint `AB:CD:..` in lines of two groups of four bytes each, in pairs of digits as tablets show them.
fn authority_lines(fingerprint: &str) -> Vec<String> {
    let bytes: Vec<&str> = fingerprint.split(':').collect();
    let line = |bytes: &[&str]| bytes.chunks(GROUP_BYTES).map(|group| group.join(" ")).collect::<Vec<_>>().join("  ");
    std::iter::once("Authority, SHA-256:".to_owned()).chain(bytes.chunks(LINE_BYTES).map(line)).collect()
}

/// The lines below the QR code, or beside it.
fn composed(card: &PairingCard, lines: &[String], module_px: u32, is_beside: bool) -> Canvas {
    let code = card.to_canvas(module_px);
    let face = Typeface::with_cap_height((module_px * 2) as f32);
    let line_height = (face.line_height() as u32 * 5).div_ceil(4);
    let margin = face.advance() as u32;
    let text_width = lines.iter().map(|l| face.width(l) as u32).max().unwrap_or(0) + 2 * margin;
    let text_height = lines.len() as u32 * line_height + margin;
    let (size, at) = match is_beside {
        true => ((code.width() + text_width, code.height().max(text_height)), (code.width(), 0)),
        false => ((code.width().max(text_width), code.height() + text_height), (0, code.height())),
    };
    let mut canvas = Canvas::new(size.0, size.1);
    let area = PxRect::new(0, 0, size.0 as i32, size.1 as i32);
    let clip = Clip::whole(area);
    let mut painter = Painter::new(&mut canvas, &clip);
    painter.fill(area, Theme::DARK.background, 256);
    for (n, line) in lines.iter().enumerate() {
        let y = at.1 + margin + n as u32 * line_height;
        face.draw(&mut painter, (at.0 + margin) as i32, y as i32, line, Theme::DARK.text);
    }
    let x = if is_beside { 0 } else { (size.0 - code.width()) / 2 };
    canvas.paste(&code, x, 0);
    canvas
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sonotap_remote::{Authority, Remote, RemoteConfig};

    use super::*;

    fn card(authority: Option<Arc<Authority>>) -> PairingCard {
        let config = RemoteConfig { address: "127.0.0.1:0".parse().unwrap(), authority, ..RemoteConfig::default() };
        Remote::new(config).unwrap().open_pairing().unwrap()
    }

    #[test]
    fn the_screen_shows_the_whole_fingerprint_in_groups_or_nothing_of_it() {
        let card = card(Some(Arc::new(Authority::new(&[]).unwrap())));
        let fingerprint = card.fingerprint().unwrap();
        let lines = authority_lines(fingerprint);
        assert_eq!(lines.len(), 5);
        assert!(lines[1..].iter().all(|l| l.len() == 24 && l.as_bytes()[11..13] == *b"  "), "{lines:?}");
        assert_eq!(lines[1..].concat().replace(' ', ""), fingerprint.replace(':', ""));
        let short = [card.address().to_owned(), format!("PIN {}", card.pin())];
        let whole = [&short[..], &lines].concat();
        let is_of = |picture: &Canvas, card: &PairingCard, lines: &[String], least_px: u32| {
            let sizes = (least_px..=*MODULE_PX.end()).flat_map(|px| [(px, false), (px, true)]);
            sizes.into_iter().any(|(px, is_beside)| composed(card, lines, px, is_beside).pixels() == picture.pixels())
        };
        for (screen, least_px) in
            [((320, 240), 3), ((480, 272), 4), ((480, 800), 5), ((800, 480), 5), ((1920, 1080), 5)]
        {
            let picture = picture_of(&card, screen);
            assert!(picture.width() <= screen.0 && picture.height() <= screen.1, "{screen:?}");
            assert!(is_of(&picture, &card, &whole, least_px), "{screen:?}");
        }
        assert!(is_of(&picture_of(&card, (200, 160)), &card, &short, 2));
        let plain = self::card(None);
        let lines = [plain.address().to_owned(), format!("PIN {}", plain.pin())];
        assert!(is_of(&picture_of(&plain, (800, 480)), &plain, &lines, 5));
    }

    #[test]
    fn every_character_of_the_card_is_drawn() {
        let card = card(Some(Arc::new(Authority::new(&[]).unwrap())));
        let lines = ["12".to_owned()];
        let lit = |lines: &[String]| {
            composed(&card, lines, 5, false).pixels().iter().filter(|p| **p == Theme::DARK.text).count()
        };
        let (one, two) = (lit(&lines), lit(&["12".to_owned(), "12".to_owned()]));
        assert!(one > 20 && two == 2 * one, "{one} {two}");
    }
}
