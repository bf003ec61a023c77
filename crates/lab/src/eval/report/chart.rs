//! Line charts as inline SVG, legible in black and white.

use std::fmt::Write as _;

use super::page::escape;

/// Of a colour-blind safe set (Okabe and Ito, 2008), those that are dark enough on white.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#555555"];
/// As many as share no divisor with the colours, so that 30 curves differ.
const DASHES: [&str; 5] = ["", "7 3", "2 3", "9 3 2 3", "14 4"];
const PUBLISHED_DASH: &str = "4 4";
/// Most marks on a curve; of more points only some are marked.
const MARKS_MAX: usize = 24;
/// Width of a letter of the legend on average, generous for a sans-serif of 12 px.
const LETTER: f64 = 7.0;
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 420.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 272.0;

/// A line of a chart.
pub struct Curve {
    /// In the legend.
    pub label: String,
    /// (x, y), x ascending; what is not finite is left out.
    pub points: Vec<(f64, f64)>,
    /// Whether it is another's figure, which is drawn dashed and said to be so.
    pub is_published: bool,
}

/// What is drawn along.
pub struct Axes {
    /// Below.
    pub x: String,
    /// At the left.
    pub y: String,
    /// Lowest and highest y; what lies beyond is drawn on the edge.
    pub y_range: (f64, f64),
}

/// Maps figures to the drawing.
struct Plot {
    x: (f64, f64),
    y: (f64, f64),
    size: (f64, f64),
}

impl Plot {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let part = |v: f64, (low, high): (f64, f64)| (v - low) / (high - low).max(1e-9);
        let up = part(y, self.y).clamp(0.0, 1.0);
        (LEFT + part(x, self.x) * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP))
    }

    fn frame(&self, title: &str, axes: &Axes) -> String {
        let (width, height) = self.size;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             role=\"img\" font-family=\"sans-serif\" font-size=\"12\"><title>{0}</title>\
             <text x=\"{LEFT}\" y=\"18\" font-size=\"14\" font-weight=\"bold\">{0}</text>",
            escape(title)
        );
        for (v, text) in ticks(self.y, 5.0) {
            let (_, y) = self.at((self.x.0, v));
            put(&mut svg, format_args!("<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/>"));
            put(
                &mut svg,
                format_args!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", LEFT - 6.0, y + 4.0),
            );
        }
        for (v, text) in ticks(self.x, 10.0) {
            let (x, _) = self.at((v, self.y.0));
            put(&mut svg, format_args!("<path d=\"M{x:.1} {TOP}V{BOTTOM}\" stroke=\"#eee\"/>"));
            put(
                &mut svg,
                format_args!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", BOTTOM + 16.0),
            );
        }
        put(&mut svg, format_args!("<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#333\"/>"));
        let (x, y) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
        let (below, beside) = (escape(&axes.x), escape(&axes.y));
        put(&mut svg, format_args!("<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{below}</text>", BOTTOM + 34.0));
        put(
            &mut svg,
            format_args!(
                "<text x=\"14\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {y})\">{beside}</text>"
            ),
        );
        svg
    }
}

/// Round values of a closed range with their text: about `n` at most, 1, 2 or 5 of a power of ten apart.
fn ticks((low, high): (f64, f64), n: f64) -> Vec<(f64, String)> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return Vec::new();
    }
    let power = 10f64.powf((span / n).log10().floor());
    // The slack is for sums such as 0.94 - 0.86, which are a hair more than they should be.
    let step = power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power * n >= span * (1.0 - 1e-9)).unwrap_or(10.0);
    let decimals = (-(step * (1.0 + 1e-9)).log10().floor()).max(0.0) as usize;
    let (first, last) = ((low / step - 1e-6).ceil(), (high / step + 1e-6).floor());
    // Adding 0 makes a plain zero of -0.
    let value = |i: u32| (first + f64::from(i)) * step + 0.0;
    (0..=(last - first).clamp(0.0, 20.0) as u32).map(|i| (value(i), format!("{:.decimals$}", value(i)))).collect()
}

/// A chart of lines with a legend at its right, which makes it wider and higher than 640 x 320 px where it must.
pub fn line_chart(title: &str, axes: &Axes, curves: &[Curve]) -> String {
    let finite = |c: &Curve| -> Vec<(f64, f64)> {
        c.points.iter().copied().filter(|p| p.0.is_finite() && p.1.is_finite()).collect()
    };
    let xs: Vec<f64> = curves.iter().flat_map(finite).map(|p| p.0).collect();
    let low = xs.iter().copied().fold(f64::INFINITY, f64::min);
    let high = xs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let x = if xs.is_empty() { (0.0, 1.0) } else { (low, high.max(low + 1.0)) };
    let legend: Vec<String> = curves.iter().map(legend_text).collect();
    let letters = legend.iter().map(|l| l.chars().count()).max().unwrap_or(0) as f64;
    let size = (WIDTH.max(RIGHT + 48.0 + LETTER * letters), HEIGHT.max(TOP + 20.0 * curves.len() as f64));
    let plot = Plot { x, y: axes.y_range, size };
    let mut svg = plot.frame(title, axes);
    for (i, curve) in curves.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let dash = if curve.is_published { PUBLISHED_DASH } else { DASHES[i % DASHES.len()] };
        let fill = if curve.is_published { "#fff" } else { colour };
        let points: Vec<(f64, f64)> = finite(curve).into_iter().map(|p| plot.at(p)).collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let stroke = format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"");
        put(&mut svg, format_args!("<polyline points=\"{}\" fill=\"none\" {stroke}/>", line.join(" ")));
        for (x, y) in points.iter().step_by(points.len().div_ceil(MARKS_MAX).max(1)) {
            put(&mut svg, format_args!("{}", mark(i, *x, *y, colour, fill)));
        }
        let y = TOP + 10.0 + 20.0 * i as f64;
        put(&mut svg, format_args!("<path d=\"M{} {y}h26\" {stroke}/>", RIGHT + 12.0));
        put(&mut svg, format_args!("{}", mark(i, RIGHT + 25.0, y, colour, fill)));
        let label = escape(&legend[i]);
        put(&mut svg, format_args!("<text x=\"{}\" y=\"{}\">{label}</text>", RIGHT + 44.0, y + 4.0));
    }
    svg + "</svg>"
}

fn legend_text(curve: &Curve) -> String {
    format!("{}{}", curve.label, if curve.is_published { " (published)" } else { "" })
}

/// Predicted against actual: (predicted, actual, number) of each bin, larger where there are more; empty bins are left out.
pub fn calibration_chart(bins: &[(f64, f64, usize)]) -> String {
    let axes = Axes { x: "score, 0 to 1".into(), y: "mean IoU".into(), y_range: (0.0, 1.0) };
    let plot = Plot { x: (0.0, 1.0), y: (0.0, 1.0), size: (WIDTH, HEIGHT) };
    let mut svg = plot.frame("Score against IoU", &axes);
    let ((x0, y0), (x1, y1)) = (plot.at((0.0, 0.0)), plot.at((1.0, 1.0)));
    put(&mut svg, format_args!("<path d=\"M{x0} {y0}L{x1} {y1}\" stroke=\"#777\" stroke-dasharray=\"4 4\"/>"));
    let all = bins.iter().map(|b| b.2).sum::<usize>().max(1) as f64;
    for (predicted, actual, n) in bins.iter().filter(|b| b.2 > 0 && b.0.is_finite() && b.1.is_finite()) {
        let (x, y) = plot.at((predicted.clamp(0.0, 1.0), *actual));
        let r = 3.0 + 14.0 * (*n as f64 / all).sqrt();
        let colour = COLOURS[0];
        put(
            &mut svg,
            format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r:.1}\" fill=\"{colour}\" fill-opacity=\".6\"/>"),
        );
    }
    let y = TOP + 10.0;
    put(&mut svg, format_args!("<text x=\"{}\" y=\"{y}\">larger: more prompts</text>", RIGHT + 12.0));
    put(&mut svg, format_args!("<text x=\"{}\" y=\"{}\">below the line: too sure</text>", RIGHT + 12.0, y + 18.0));
    svg + "</svg>"
}

/// A circle, a square or a diamond.
fn mark(i: usize, x: f64, y: f64, colour: &str, fill: &str) -> String {
    let style = format!("fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.5\"");
    match i % 3 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" {style}/>"),
        1 => format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"6.4\" height=\"6.4\" {style}/>", x - 3.2, y - 3.2),
        _ => format!("<path d=\"M{x:.1} {:.1}l4.4 4.4l-4.4 4.4l-4.4-4.4z\" {style}/>", y - 4.4),
    }
}

fn put(svg: &mut String, what: std::fmt::Arguments) {
    // Writing to a string does not fail.
    let _ = svg.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chart_names_its_curves_escapes_them_and_leaves_out_what_is_no_number() {
        let curve = |label: &str, is_published| Curve {
            label: label.into(),
            points: vec![(1.0, 0.5), (2.0, f64::NAN), (3.0, 0.75)],
            is_published,
        };
        let axes = Axes { x: "clicks".into(), y: "IoU".into(), y_range: (0.0, 1.0) };
        let svg = line_chart("a & b", &axes, &[curve("<ours>", false), curve("theirs", true)]);
        assert!(svg.contains("&lt;ours&gt;") && svg.contains("theirs (published)") && !svg.contains("NaN"));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.ends_with("</svg>"));
        assert_eq!(svg.matches("fill=\"#fff\"").count(), 2 + 1, "two hollow marks and that of the legend");
    }

    #[test]
    fn ticks_are_round_and_differ() {
        let cases: [((f64, f64), f64, &[&str]); 6] = [
            ((0.0, 1.0), 5.0, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            ((0.86, 0.94), 5.0, &["0.86", "0.88", "0.90", "0.92", "0.94"]),
            ((1.0, 20.0), 10.0, &["2", "4", "6", "8", "10", "12", "14", "16", "18", "20"]),
            ((-0.1, 0.1), 5.0, &["-0.10", "-0.05", "0.00", "0.05", "0.10"]),
            ((0.0, 250.0), 5.0, &["0", "50", "100", "150", "200", "250"]),
            ((0.5, 0.5), 5.0, &[]),
        ];
        for (range, n, expected) in cases {
            assert_eq!(ticks(range, n).into_iter().map(|t| t.1).collect::<Vec<_>>(), expected, "{range:?}");
        }
    }

    #[test]
    fn many_long_curves_differ_and_fit() {
        let curves: Vec<Curve> = (0..20)
            .map(|i| Curve {
                label: format!("a name of thirty letters and {i}"),
                points: (0..300).map(|x| (f64::from(x), 0.5)).collect(),
                is_published: false,
            })
            .collect();
        let svg = line_chart("t", &Axes { x: "x".into(), y: "y".into(), y_range: (0.0, 1.0) }, &curves);
        assert!(svg.contains("viewBox=\"0 0 685 434\""), "{}", &svg[..120]);
        let strokes =
            svg.split("<polyline").skip(1).map(|s| s.split_once("stroke=").unwrap().1.split_once("/>").unwrap().0);
        assert_eq!(strokes.collect::<std::collections::BTreeSet<_>>().len(), 20);
    }

    #[test]
    fn charts_of_nothing_are_charts() {
        let axes = Axes { x: "x".into(), y: "y".into(), y_range: (0.0, 1.0) };
        for svg in [line_chart("t", &axes, &[]), calibration_chart(&[]), calibration_chart(&[(0.0, 0.0, 0)])] {
            assert!(
                svg.ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<circle")
            );
        }
    }
}
