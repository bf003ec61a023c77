//! A page of HTML that needs nothing but itself, and reads well on paper.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#111;\
background:#fff}h1{font-size:1.6em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid #999}\
table{border-collapse:collapse;margin:1em 0;font-size:13px;page-break-inside:avoid;font-variant-numeric:tabular-nums}\
th,td{padding:.25em .6em;border-bottom:1px solid #ccc;text-align:left;vertical-align:top;overflow-wrap:break-word}\
th{border-bottom:2px solid #555}td.n{text-align:right}figure{margin:1em 0;page-break-inside:avoid}\
figure img,svg{max-width:100%;height:auto}svg{page-break-inside:avoid}figcaption{font-size:13px;color:#444}\
@media print{body{margin:0;font-size:11pt;max-width:none}table{font-size:8.5pt}}";

/// Text as it may stand in HTML and in quoted attributes.
///
/// ```
/// use sonotap::eval::report::page::escape;
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

    /// A table; cells that begin with a digit or a sign stand at the right.
    pub fn table(&mut self, headers: &[&str], rows: &[Vec<String>]) {
        let head: String = headers.iter().map(|h| format!("<th>{}</th>", escape(h))).collect();
        self.put(format_args!("<table><thead><tr>{head}</tr></thead><tbody>"));
        for row in rows {
            let cells: String = row.iter().map(|c| cell(c)).collect();
            self.put(format_args!("<tr>{cells}</tr>"));
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

fn cell(text: &str) -> String {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
    format!("<td{}>{}</td>", if is_number { " class=\"n\"" } else { "" }, escape(text))
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
}
