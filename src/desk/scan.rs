//! What a wristband's code says: whose it is, in the forms that are in use. What could be read in two ways is refused.
//!
//! | scanned | taken |
//! |---|---|
//! | `4711` | the number |
//! | `(8018)` and 18 digits, or the same without brackets after `]C1`, `]d2`, `]Q3` | GS1's number of the recipient of care, with its check digit |
//! | `PID\|...` | HL7: the one number of PID-3, or the one of type MR; name, birth date and sex |
//! | `id: 4711`, `name: DOE^JANE`, `dob: 19700131`, `sex: F`, a line each | those |
//! | two lines, one with a digit and one without | number and name |
//!
//! Refused: a number of GS1 that is of staff or of a product, or whose check digit is wrong; 22 digits that begin with 8018 and do not say
//! that they are of GS1; several numbers; a text of a form that is not here.

use super::told::{IDENTITY_TEXT_MAX, Identity};

/// Characters of a scan at most.
pub(crate) const SCAN_MAX: usize = 512;
/// GS1's recipient and provider of a service, their instance, and how long the number is.
const RECIPIENT: &str = "8018";
const PROVIDER: &str = "8017";
const INSTANCE: &str = "8019";
const GSRN_DIGITS: usize = 18;

/// Why a scan is no patient's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPatient {
    /// It is of somebody of the staff.
    Staff,
    /// It is of a product, or of something else that GS1 numbers.
    Product,
    /// The check digit is wrong: a digit was misread.
    CheckDigit,
    /// It has several numbers and does not say which is the patient's.
    Several,
    /// It may be a number, or one of GS1 with what it is of.
    Ambiguous,
    /// It has no number.
    NoNumber,
    /// It is no number, and of no form that is read.
    UnknownForm,
}

impl NoPatient {
    /// A line for the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::Staff => "Scan refused: a staff badge",
            Self::Product => "Scan refused: not a patient's code",
            Self::CheckDigit => "Scan refused: wrong check digit, scan again",
            Self::Several => "Scan refused: several numbers",
            Self::Ambiguous => "Scan refused: GS1 or a number? Let the scanner send ]d2",
            Self::NoNumber => "Scan refused: no number in it",
            Self::UnknownForm => "Scan refused: form not known",
        }
    }
}

/// Reads what was scanned.
///
/// # Errors
/// Why it is no patient's.
pub fn read(text: &str) -> Result<Identity, NoPatient> {
    let text = text.trim();
    if text.chars().count() > SCAN_MAX {
        return Err(NoPatient::UnknownForm);
    }
    for symbology in ["]C1", "]d2", "]Q3", "]e0"] {
        if let Some(elements) = text.strip_prefix(symbology) {
            return gs1(elements);
        }
    }
    // What other symbologies say of themselves.
    let text = match text.strip_prefix(']') {
        Some(rest) if rest.len() > 2 && rest.is_char_boundary(2) => rest[2..].trim(),
        _ => text,
    };
    let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(segment) = lines.iter().find(|line| line.starts_with("PID|")) {
        return hl7(segment);
    }
    match lines.as_slice() {
        [] => Err(NoPatient::NoNumber),
        [line] if line.starts_with('(') => gs1(line),
        [line] => labelled(&[line]).unwrap_or_else(|| plain(line)),
        [one, other] => labelled(&lines).unwrap_or_else(|| unlabelled(one, other)),
        _ => labelled(&lines).unwrap_or(Err(NoPatient::UnknownForm)),
    }
}

fn is_all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}

/// A number and nothing else.
fn plain(text: &str) -> Result<Identity, NoPatient> {
    if is_all_digits(text) && text.len() == RECIPIENT.len() + GSRN_DIGITS && text.starts_with(RECIPIENT) {
        return Err(NoPatient::Ambiguous);
    }
    if text.contains(['^', '|', '~', '&', '=', '(', ')', '<', '>', '{', '}', ';', ',']) || text.contains("://") {
        return Err(NoPatient::UnknownForm);
    }
    number(text, "", "")
}

fn number(id: &str, name: &str, note: &str) -> Result<Identity, NoPatient> {
    Identity::new(id).and_then(|identity| identity.named(name, note)).ok_or(NoPatient::UnknownForm)
}

/// Elements of GS1: with brackets, or one after the other as far as their lengths are known here.
fn gs1(text: &str) -> Result<Identity, NoPatient> {
    let text = text.trim();
    let (identifier, rest) = match text.strip_prefix('(') {
        Some(inner) => inner.split_once(')').ok_or(NoPatient::UnknownForm)?,
        None if text.len() > 4 && text.is_char_boundary(4) => text.split_at(4),
        None => return Err(NoPatient::Product),
    };
    match identifier {
        RECIPIENT => {}
        PROVIDER => return Err(NoPatient::Staff),
        _ => return Err(NoPatient::Product),
    }
    if rest.len() < GSRN_DIGITS || !rest.is_char_boundary(GSRN_DIGITS) {
        return Err(NoPatient::CheckDigit);
    }
    let (digits, more) = rest.split_at(GSRN_DIGITS);
    if !is_all_digits(digits) || !has_check_digit(digits) {
        return Err(NoPatient::CheckDigit);
    }
    // Which stay it is, is not whose.
    let more = more.trim_start_matches('\u{1d}');
    let instance = more.strip_prefix('(').map_or_else(|| more.strip_prefix(INSTANCE), |m| m.strip_prefix("8019)"));
    let is_end = more.is_empty() || instance.is_some_and(|n| is_all_digits(n) && n.len() <= 10);
    if is_end { number(digits, "", "") } else { Err(NoPatient::UnknownForm) }
}

/// Modulo 10 with the weights 3 and 1 from the right.
///
/// Source: GS1 General Specifications, section 7.9.1.
fn has_check_digit(digits: &str) -> bool {
    let weighted = digits.bytes().rev().enumerate().map(|(i, b)| u32::from(b - b'0') * if i % 2 == 1 { 3 } else { 1 });
    weighted.sum::<u32>() % 10 == 0
}

/// Segment PID of HL7 version 2.
fn hl7(segment: &str) -> Result<Identity, NoPatient> {
    let field = |number: usize| segment.split('|').nth(number).unwrap_or_default();
    let numbers: Vec<Vec<&str>> =
        field(3).split('~').map(|r| r.split('^').collect()).filter(|r: &Vec<&str>| !r[0].is_empty()).collect();
    let of_record: Vec<&Vec<&str>> = numbers.iter().filter(|r| r.get(4) == Some(&"MR")).collect();
    let id = match (numbers.as_slice(), of_record.as_slice()) {
        ([], _) => return Err(NoPatient::NoNumber),
        ([one], _) => one[0],
        (_, [one]) => one[0],
        _ => return Err(NoPatient::Several),
    };
    let name = field(5).split('~').next().unwrap_or_default();
    number(id, &name.split('^').take(5).collect::<Vec<_>>().join("^"), &note(field(7), field(8)))
}

fn note(born: &str, sex: &str) -> String {
    let born = born.get(..8).filter(|d| is_all_digits(d)).map(|d| format!("born {}-{}-{}", &d[..4], &d[4..6], &d[6..]));
    let sex = Some(sex.trim()).filter(|s| ["M", "F", "O"].contains(s)).map(str::to_owned);
    [born, sex].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Lines that say what they are; `None` when one does not.
fn labelled(lines: &[&str]) -> Option<Result<Identity, NoPatient>> {
    let (mut id, mut name, mut born, mut sex) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        let (key, value) = line.split_once([':', '='])?;
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "id" | "pid" | "mrn" | "patient id" | "patientid" => id.push(value),
            "name" | "patient name" | "patientname" => name.push(value),
            "dob" | "born" | "birth date" | "birthdate" => born.push(value),
            "sex" | "gender" => sex.push(value),
            _ => return None,
        }
    }
    let one = |values: &[&str]| values.first().copied().unwrap_or_default().to_owned();
    let digits: String = one(&born).chars().filter(char::is_ascii_digit).collect();
    Some(match (id.len(), name.len().max(born.len()).max(sex.len())) {
        (0, _) => Err(NoPatient::NoNumber),
        (1, 0..=1) => number(id[0], &one(&name), &note(&digits, &one(&sex).to_ascii_uppercase())),
        _ => Err(NoPatient::Several),
    })
}

/// Two lines of which one can only be a name.
fn unlabelled(one: &str, other: &str) -> Result<Identity, NoPatient> {
    let (id, name) = match (has_digit(one), has_digit(other)) {
        (true, false) => (one, other),
        (false, true) => (other, one),
        (true, true) => return Err(NoPatient::Several),
        (false, false) => return Err(NoPatient::NoNumber),
    };
    plain(id)?.named(name, "").ok_or(NoPatient::UnknownForm)
}

/// A name as it is said: `DOE^JANE` as DOE, JANE.
pub(super) fn spoken(name: &str) -> String {
    let name = name.split('=').find(|group| !group.is_empty()).unwrap_or_default();
    let parts: Vec<&str> = name.split('^').map(str::trim).filter(|p| !p.is_empty()).collect();
    match parts.split_first() {
        Some((family, [])) => (*family).to_owned(),
        Some((family, given)) => format!("{family}, {}", given.join(" ")),
        None => String::new(),
    }
    .chars()
    .take(IDENTITY_TEXT_MAX)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GSRN: &str = "401234567890123456";

    fn checked(digits: &str) -> String {
        let found = (0..10).map(|d| format!("{digits}{d}")).find(|number| has_check_digit(number));
        found.unwrap()
    }

    #[test]
    fn the_forms_of_wristbands_are_read() {
        let gsrn = checked(&GSRN[..17]);
        for (text, id, name, note) in [
            ("4711".to_owned(), "4711", "", ""),
            ("  AB-47.11/2 \n".into(), "AB-47.11/2", "", ""),
            ("]Q14711".into(), "4711", "", ""),
            (format!("(8018){gsrn}"), gsrn.as_str(), "", ""),
            (format!("(8018){gsrn}(8019)3"), &gsrn, "", ""),
            (format!("]d28018{gsrn}"), &gsrn, "", ""),
            (format!("]C18018{gsrn}\u{1d}80190000000003"), &gsrn, "", ""),
            ("PID|1||4711^^^HOSP^MR||DOE^JANE^^^||19700131|F".into(), "4711", "DOE^JANE", "born 1970-01-31, F"),
            ("MSH|^~&|X\nPID|1||99^^^NHS^NI~4711^^^H^MR||DOE^JANE".into(), "4711", "DOE^JANE", ""),
            ("ID: 4711\nName: DOE^JANE\nDOB: 1970-01-31\nSex: f".into(), "4711", "DOE^JANE", "born 1970-01-31, F"),
            ("mrn=4711".into(), "4711", "", ""),
            ("DOE^JANE\n4711".into(), "4711", "DOE^JANE", ""),
            ("4711\nJane Doe".into(), "4711", "Jane Doe", ""),
        ] {
            let read = read(&text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            assert_eq!((read.reveal(), read.name(), read.note()), (id, name, note), "{text}");
        }
    }

    #[test]
    fn what_could_be_somebody_else_is_refused_with_the_reason() {
        let gsrn = checked(&GSRN[..17]);
        // One digit of it was read as another.
        let misread = gsrn.replacen('4', "5", 1);
        for (text, why) in [
            (format!("(8017){gsrn}"), NoPatient::Staff),
            (format!("]d28017{gsrn}"), NoPatient::Staff),
            ("(01)09521234543213".into(), NoPatient::Product),
            (format!("8018{gsrn}"), NoPatient::Ambiguous),
            ("(8018)4711".into(), NoPatient::CheckDigit),
            (format!("(8018){misread}"), NoPatient::CheckDigit),
            (format!("(8018){gsrn}(10)LOT"), NoPatient::UnknownForm),
            ("PID|1||1^^^A^PI~2^^^B^PI||DOE^JANE".into(), NoPatient::Several),
            ("PID|1||1^^^A^MR~2^^^B^MR||DOE^JANE".into(), NoPatient::Several),
            ("PID|1||||DOE^JANE".into(), NoPatient::NoNumber),
            ("id: 1\nid: 2".into(), NoPatient::Several),
            ("name: DOE^JANE".into(), NoPatient::NoNumber),
            ("4711\n0815".into(), NoPatient::Several),
            ("DOE\nJANE".into(), NoPatient::NoNumber),
            ("DOE^JANE".into(), NoPatient::UnknownForm),
            ("4711;DOE".into(), NoPatient::UnknownForm),
            ("https://ward.example/4711".into(), NoPatient::UnknownForm),
            ("4711\nDOE\nJANE".into(), NoPatient::UnknownForm),
            (String::new(), NoPatient::NoNumber),
            ("4".repeat(65), NoPatient::UnknownForm),
            ("4".repeat(SCAN_MAX + 1), NoPatient::UnknownForm),
        ] {
            assert_eq!(read(&text).err(), Some(why), "{text}");
        }
    }

    #[test]
    fn a_name_is_said_as_people_say_it() {
        for (name, said) in
            [("DOE^JANE^ANN", "DOE, JANE ANN"), ("DOE", "DOE"), ("^", ""), ("A^B=\u{5c71}^\u{592a}", "A, B")]
        {
            assert_eq!(spoken(name), said);
        }
    }
}
