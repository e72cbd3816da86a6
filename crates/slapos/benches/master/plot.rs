//! Lines over the number of nodes, as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 540.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 320.0;
/// Told apart by people who see few colours, on white.
const COLOURS: [&str; 6] = ["#56b4e9", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];

/// A line with its name.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// Numbers of nodes with what was measured.
    pub(crate) points: Vec<(usize, f64)>,
}

/// The whole drawing: nodes on a logarithmic axis, values from 0.
pub(crate) fn plot(title: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = points().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let nodes: std::collections::BTreeSet<usize> = points().map(|(nodes, _)| *nodes).collect();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title}</text>\n"
    );
    for part in 0..=4 {
        let value = most * f64::from(part) / 4.0;
        let y = height(value, most);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.3}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    let place = |count: usize| across(count, &nodes);
    for count in &nodes {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{count} nodes</text>",
            place(*count),
            BOTTOM + 18.0
        );
    }
    for (index, line) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let spot = |(count, value): &(usize, f64)| {
            format!("{:.1},{:.1}", place(*count), height(*value, most))
        };
        let path: Vec<String> = line.points.iter().map(spot).collect();
        let label = TOP + 20.0 * f64::from(u8::try_from(index).unwrap_or(0)) + 10.0;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{label:.1}\" fill=\"{colour}\">{}</text>",
            path.join(" "),
            RIGHT + 16.0,
            line.name
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn height(value: f64, most: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * value / most
}

#[allow(clippy::cast_precision_loss, reason = "places in a drawing")]
fn across(count: usize, nodes: &std::collections::BTreeSet<usize>) -> f64 {
    let log = |count: usize| (count.max(1) as f64).log10();
    let first = nodes.first().copied().map_or(0.0, log);
    let last = nodes.last().copied().map_or(1.0, log);
    let span = if last > first { last - first } else { 1.0 };
    LEFT + 30.0 + (RIGHT - LEFT - 60.0) * (log(count) - first) / span
}
