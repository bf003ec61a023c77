//! A page of HTML that needs nothing but itself, and reads well on paper.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#111;\
background:#fff}h1{font-size:1.6em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid #999}\
table{border-collapse:collapse;margin:1em 0;font-size:13px;page-break-inside:avoid;font-variant-numeric:tabular-nums}\
th,td{padding:.25em .6em;border-bottom:1px solid #ccc;text-align:left;vertical-align:top;overflow-wrap:break-word}\
th{border-bottom:2px solid #555}.n{text-align:right}figure{margin:1em 0;page-break-inside:avoid}\
figure img,svg{max-width:100%;height:auto}svg{page-break-inside:avoid}figcaption{font-size:13px;color:#444}\
tr{page-break-inside:avoid}@page{size:A4;margin:15mm}\
@media print{body{margin:0;font-size:11pt;max-width:none}table{font-size:8.5pt}}";

/// Text as it may stand in HTML and in quoted attributes.
///
/// ```
/// use sonotap_lab::eval::report::page::escape;
/// assert_eq!(escape("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
/// ```
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A page in the making.
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// With a title and nothing below it.
    pub fn new(title: &str) -> Self {
        Self { title: escape(title), body: String::new() }
    }

    /// A new section.
    pub fn heading(&mut self, text: &str) {
        self.put(format_args!("<h2>{}</h2>", escape(text)));
    }

    /// Running text.
    pub fn paragraph(&mut self, text: &str) {
        self.put(format_args!("<p>{}</p>", escape(text)));
    }

    /// A table; a column of nothing but numbers, which units or intervals may follow, stands at the right.
    pub fn table(&mut self, headers: &[&str], rows: &[Vec<String>]) {
        let is_numeric: Vec<bool> =
            (0..headers.len()).map(|i| is_numeric(rows.iter().filter_map(|r| r.get(i)))).collect();
        let class = |i: usize| if is_numeric.get(i) == Some(&true) { " class=\"n\"" } else { "" };
        let cells = |tag: &str, texts: &mut dyn Iterator<Item = &str>| -> String {
            texts.enumerate().map(|(i, t)| format!("<{tag}{}>{}</{tag}>", class(i), escape(t))).collect()
        };
        let head = cells("th", &mut headers.iter().copied());
        self.put(format_args!("<table><thead><tr>{head}</tr></thead><tbody>"));
        for row in rows {
            self.put(format_args!("<tr>{}</tr>", cells("td", &mut row.iter().map(String::as_str))));
        }
        self.put(format_args!("</tbody></table>"));
    }

    /// A drawing, as it is.
    pub fn raw_svg(&mut self, svg: &str) {
        self.put(format_args!("<figure>{svg}</figure>"));
    }

    /// A picture with a line below it.
    pub fn png_figure(&mut self, caption: &str, png: &[u8]) {
        let caption = escape(caption);
        let bytes = STANDARD.encode(png);
        self.put(format_args!(
            "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{bytes}\"><figcaption>{caption}</figcaption></figure>"
        ));
    }

    /// The whole page.
    pub fn finish(self) -> String {
        let Self { title, body } = self;
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n{body}</body></html>\n"
        )
    }

    fn put(&mut self, line: std::fmt::Arguments) {
        // Writing to a string does not fail.
        let _ = writeln!(self.body, "{line}");
    }
}

/// Whether each cell begins with a number, save those that are empty or a dash, and at least one does.
fn is_numeric<'a>(cells: impl Iterator<Item = &'a String>) -> bool {
    let mut firsts =
        cells.filter_map(|c| c.split_whitespace().next()).filter(|t| !matches!(*t, "-" | "–" | "—")).peekable();
    let is_number = |t: &str| {
        t.contains(|c: char| c.is_ascii_digit()) && t.chars().all(|c| c.is_ascii_digit() || "+-.,:/%".contains(c))
    };
    firsts.peek().is_some() && firsts.all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_holds_all_it_needs_and_escapes_what_it_is_given() {
        let mut page = Page::new("A & B");
        page.heading("<script>");
        page.table(&["x"], &[vec!["<td>".into()], vec!["1.5".into()]]);
        page.png_figure("q\"", b"foobar");
        let html = page.finish();
        assert!(!html.contains("<script") && !html.contains("http") && html.contains("&lt;td&gt;"));
        assert!(html.contains("base64,Zm9vYmFy\""), "RFC 4648 test vector");
        for tag in ["table", "tr", "td", "figure", "h2", "body", "html"] {
            let (open, close) = (html.matches(&format!("<{tag}")).count(), html.matches(&format!("</{tag}>")).count());
            assert_eq!(open, close, "{tag}");
        }
    }

    #[test]
    fn column_of_numbers_stands_at_the_right_and_a_hash_does_not() {
        let rows =
            [["0.8 (0.7 to 0.9)", "3fa9", "12 of 30"], ["-", "b2c1", "+5 %"]].map(|r| r.map(String::from).to_vec());
        let mut page = Page::new("t");
        page.table(&["IoU", "SHA-256", "n"], &rows);
        let html = page.finish();
        assert!(html.contains("<th class=\"n\">IoU</th><th>SHA-256</th><th class=\"n\">n</th>"), "{html}");
        assert!(html.contains("<td class=\"n\">-</td><td>b2c1</td><td class=\"n\">+5 %</td>"), "{html}");
    }

    #[test]
    fn pictures_are_base64_of_rfc_4648() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, coded) in vectors {
            let mut page = Page::new("t");
            page.png_figure("c", plain.as_bytes());
            assert!(page.finish().contains(&format!("src=\"data:image/png;base64,{coded}\"")), "{plain}");
        }
    }

    #[test]
    fn page_with_charts_names_no_address_but_that_of_svg() {
        let mut page = Page::new("t");
        page.raw_svg(&super::super::chart::calibration_chart(&[(0.5, 0.5, 3)]));
        let html = page.finish();
        assert_eq!(html.matches("http").count(), html.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
        for tag in ["svg", "text", "title", "figure"] {
            assert_eq!(html.matches(&format!("<{tag}")).count(), html.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }
}
