//! The kernel's numbers of keys (`linux/input-event-codes.h`), and what a keyboard with US layout types with them: scanners are
//! shipped as such.

/// Rows of keys: the number of the first, what they type, and what they type with shift.
const ROWS: [(u16, &str, &str); 5] = [
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
];
/// The keypad, from 71.
const PAD: &str = "789-456+1230.";
const PAD_FIRST: u16 = 71;
const PAD_SLASH: u16 = 98;

/// Keys without a character.
const NAMED: [(&str, u16); 36] = [
    ("ESC", 1),
    ("BACKSPACE", 14),
    ("TAB", 15),
    ("ENTER", 28),
    ("SPACE", 57),
    ("F1", 59),
    ("F2", 60),
    ("F3", 61),
    ("F4", 62),
    ("F5", 63),
    ("F6", 64),
    ("F7", 65),
    ("F8", 66),
    ("F9", 67),
    ("F10", 68),
    ("F11", 87),
    ("F12", 88),
    ("KPENTER", 96),
    ("HOME", 102),
    ("UP", 103),
    ("PAGEUP", 104),
    ("LEFT", 105),
    ("RIGHT", 106),
    ("END", 107),
    ("DOWN", 108),
    ("PAGEDOWN", 109),
    ("INSERT", 110),
    ("DELETE", 111),
    ("VOLUMEDOWN", 114),
    ("VOLUMEUP", 115),
    ("PLAYPAUSE", 164),
    ("CAMERA", 212),
    ("BTN_0", 0x100),
    ("BTN_1", 0x101),
    ("BTN_LEFT", 0x110),
    ("BTN_RIGHT", 0x111),
];

pub(super) const SHIFT: [u16; 2] = [42, 54];
pub(super) const ENDS: [u16; 3] = [28, 96, 15];

/// The number of a key by its name, as `F1`, `A`, `PAGEDOWN`, or the number itself.
///
/// ```
/// use sonotap::input::keyboard::code_of;
/// assert_eq!((code_of("F1"), code_of("a"), code_of("288"), code_of("F99")), (Some(59), Some(30), Some(288), None));
/// ```
pub fn code_of(name: &str) -> Option<u16> {
    let mut characters = name.chars();
    if let (Some(c), None) = (characters.next(), characters.next()) {
        let c = c.to_ascii_lowercase();
        let at = |&(first, plain, _): &(u16, &str, &str)| plain.chars().position(|p| p == c).map(|i| first + i as u16);
        return ROWS.iter().find_map(at);
    }
    let named = NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, code)| *code);
    named.or_else(|| name.parse().ok().filter(|code| (1..0x300).contains(code)))
}

/// What a key types.
pub(super) fn character_of(code: u16, is_shifted: bool) -> Option<char> {
    let of_row = |&(first, plain, shifted): &(u16, &str, &str)| {
        let at = usize::from(code.checked_sub(first)?);
        if is_shifted { shifted } else { plain }.chars().nth(at)
    };
    let of_pad = || PAD.chars().nth(usize::from(code.checked_sub(PAD_FIRST)?));
    match code {
        PAD_SLASH => Some('/'),
        55 => Some('*'),
        // The left shift key lies within the numbers of its row.
        42 => None,
        _ => ROWS.iter().find_map(of_row).or_else(of_pad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_kernels_numbers() {
        for (name, code) in [("1", 2), ("0", 11), ("Q", 16), ("P", 25), ("A", 30), ("L", 38), ("Z", 44), ("M", 50)] {
            assert_eq!(code_of(name), Some(code), "{name}");
        }
        let typed = |code, is_shifted| character_of(code, is_shifted);
        assert_eq!(
            (typed(30, true), typed(30, false), typed(12, false), typed(12, true)),
            (Some('A'), Some('a'), Some('-'), Some('_'))
        );
        assert_eq!(
            (typed(79, false), typed(82, false), typed(53, false), typed(41, false)),
            (Some('1'), Some('0'), Some('/'), Some('`'))
        );
        for silent in SHIFT.into_iter().chain(ENDS).chain([0, 1, 14, 29, 59, 300]) {
            assert_eq!(typed(silent, false), None, "{silent}");
        }
        for wrong in ["", "F13x", "0x20", "900", "QQ"] {
            assert_eq!(code_of(wrong), None, "{wrong}");
        }
    }
}
