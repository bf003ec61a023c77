//! Line charts as inline SVG, legible in black and white.

use std::fmt::Write as _;

use super::page::escape;

/// Of a colour-blind safe set (Okabe and Ito, 2008), those that are dark enough on white.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#555555"];
const DASHES: [&str; 3] = ["", "7 3", "2 3"];
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
    /// Lowest and highest y.
    pub y_range: (f64, f64),
}

/// Maps figures to the drawing.
struct Plot {
    x: (f64, f64),
    y: (f64, f64),
}

impl Plot {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let part = |v: f64, (low, high): (f64, f64)| (v - low) / (high - low).max(1e-9);
        let up = part(y, self.y).clamp(0.0, 1.0);
        (LEFT + part(x, self.x) * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP))
    }

    fn frame(&self, title: &str, axes: &Axes) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             role=\"img\" font-family=\"sans-serif\" font-size=\"12\"><title>{0}</title>\
             <text x=\"{LEFT}\" y=\"18\" font-size=\"14\" font-weight=\"bold\">{0}</text>",
            escape(title)
        );
        for i in 0..=5 {
            let v = self.y.0 + (self.y.1 - self.y.0) * f64::from(i) / 5.0;
            let (_, y) = self.at((self.x.0, v));
            put(&mut svg, format_args!("<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/>"));
            put(
                &mut svg,
                format_args!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{v:.1}</text>", LEFT - 6.0, y + 4.0),
            );
        }
        let step = ((self.x.1 - self.x.0) / 10.0).ceil().max(1.0);
        let mut v = self.x.0.ceil();
        while (self.x.1 - self.x.0) > 1.0 && v <= self.x.1 {
            let (x, _) = self.at((v, self.y.0));
            put(
                &mut svg,
                format_args!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{v:.0}</text>", BOTTOM + 16.0),
            );
            v += step;
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

/// A chart of lines with a legend at its right.
pub fn line_chart(title: &str, axes: &Axes, curves: &[Curve]) -> String {
    let finite = |c: &Curve| -> Vec<(f64, f64)> {
        c.points.iter().copied().filter(|p| p.0.is_finite() && p.1.is_finite()).collect()
    };
    let xs: Vec<f64> = curves.iter().flat_map(finite).map(|p| p.0).collect();
    let low = xs.iter().copied().fold(f64::INFINITY, f64::min);
    let high = xs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let x = if xs.is_empty() { (0.0, 1.0) } else { (low, high.max(low + 1.0)) };
    let plot = Plot { x, y: axes.y_range };
    let mut svg = plot.frame(title, axes);
    for (i, curve) in curves.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let dash = if curve.is_published { "4 4" } else { DASHES[i / 2 % DASHES.len()] };
        let fill = if curve.is_published { "#fff" } else { colour };
        let points: Vec<(f64, f64)> = finite(curve).into_iter().map(|p| plot.at(p)).collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let stroke = format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"");
        put(&mut svg, format_args!("<polyline points=\"{}\" fill=\"none\" {stroke}/>", line.join(" ")));
        let has_marks = points.len() <= 24;
        for (x, y) in points.iter().filter(|_| has_marks) {
            put(&mut svg, format_args!("{}", mark(i, *x, *y, colour, fill)));
        }
        let y = TOP + 10.0 + 20.0 * i as f64;
        put(&mut svg, format_args!("<path d=\"M{} {y}h26\" {stroke}/>", RIGHT + 12.0));
        if has_marks {
            put(&mut svg, format_args!("{}", mark(i, RIGHT + 25.0, y, colour, fill)));
        }
        let label = escape(&curve.label);
        let whose = if curve.is_published { " (published)" } else { "" };
        put(&mut svg, format_args!("<text x=\"{}\" y=\"{}\">{label}{whose}</text>", RIGHT + 44.0, y + 4.0));
    }
    svg + "</svg>"
}

/// Predicted against actual: (predicted, actual, number) of each bin, larger where there are more.
pub fn calibration_chart(bins: &[(f64, f64, usize)]) -> String {
    let axes = Axes { x: "score, 0 to 1".into(), y: "mean IoU".into(), y_range: (0.0, 1.0) };
    let plot = Plot { x: (0.0, 1.0), y: (0.0, 1.0) };
    let mut svg = plot.frame("Score against IoU", &axes);
    let ((x0, y0), (x1, y1)) = (plot.at((0.0, 0.0)), plot.at((1.0, 1.0)));
    put(&mut svg, format_args!("<path d=\"M{x0} {y0}L{x1} {y1}\" stroke=\"#777\" stroke-dasharray=\"4 4\"/>"));
    let all = bins.iter().map(|b| b.2).sum::<usize>().max(1) as f64;
    for (predicted, actual, n) in bins.iter().filter(|b| b.0.is_finite() && b.1.is_finite()) {
        let (x, y) = plot.at((predicted.clamp(0.0, 1.0), *actual));
        let r = 3.0 + 14.0 * (*n as f64 / all).sqrt();
        let colour = COLOURS[0];
        put(
            &mut svg,
            format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r:.1}\" fill=\"{colour}\" fill-opacity=\".6\"/>"),
        );
    }
    let y = TOP + 10.0;
    put(&mut svg, format_args!("<text x=\"{}\" y=\"{y}\">area: share of prompts</text>", RIGHT + 12.0));
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
    }
}
