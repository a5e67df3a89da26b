//! A line chart as SVG, with logarithmic axes where its figures span much. It brings its own ground and colours, one set
//! for bright and one for dark surroundings.
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 62.0;

/// Colours that people with any colour vision tell apart, for bright ground and dark.
const COLOURS: [(&str, &str); 4] = [
    ("#0b62c4", "#58a6ff"),
    ("#b35900", "#f0a04b"),
    ("#1a7f37", "#4ac26b"),
    ("#8250df", "#bc8cff"),
];
/// Beside the colour a mark of its own for each line.
const DASHES: [&str; 4] = ["", "7 4", "2 4", "10 3 2 3"];

/// A picture.
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// What grows.
    pub x: Axis,
    /// What is measured.
    pub y: String,
    /// One for each candidate.
    pub lines: Vec<Line>,
}

/// What grows.
pub struct Axis {
    /// In words.
    pub label: String,
    /// Whether it is bytes.
    pub bytes: bool,
}

/// A candidate's line.
pub struct Line {
    /// Who.
    pub name: String,
    /// Which of the four looks it has.
    pub look: usize,
    /// What grows, the figure, and the least and the most of it.
    pub points: Vec<(f64, f64, (f64, f64))>,
}

/// Where a figure stands on an axis.
struct Scale {
    low: f64,
    high: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let part = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + part * (self.to - self.from)
    }
}

impl Chart {
    /// The picture.
    pub fn svg(&self) -> String {
        let (x, y) = (self.x_scale(), self.y_scale());
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" role=\"img\">\n<title>{}</title>\n<style>\n{}</style>\n\
             <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>\n",
            escaped(&self.title),
            style(),
        );
        self.frame(&mut out, &x, &y);
        let mut ends: Vec<f64> = Vec::new();
        for line in &self.lines {
            let place = |(size, figure, _): &(f64, f64, _)| {
                format!("{:.1},{:.1}", x.at(*size), y.at(*figure))
            };
            let points: Vec<String> = line.points.iter().map(place).collect();
            let class = line.look % COLOURS.len();
            add(
                &mut out,
                format_args!(
                    "<polyline class=\"l c{class}\" points=\"{}\"/>",
                    points.join(" ")
                ),
            );
            for (size, figure, (least, most)) in &line.points {
                let (at, least, most) = (x.at(*size), y.at(*least), y.at(*most));
                add(
                    &mut out,
                    format_args!(
                        "<path class=\"r c{class}\" d=\"M{at:.1} {least:.1}V{most:.1}\"/>"
                    ),
                );
                add(
                    &mut out,
                    format_args!(
                        "<circle class=\"d{class}\" cx=\"{at:.1}\" cy=\"{:.1}\" r=\"3.5\"/>",
                        y.at(*figure)
                    ),
                );
            }
            if let Some((_, figure, _)) = line.points.last() {
                ends.push(y.at(*figure));
            }
        }
        self.names(&mut out, &ends);
        out.push_str("</svg>\n");
        out
    }

    fn x_scale(&self) -> Scale {
        let sizes = || {
            self.lines
                .iter()
                .flat_map(|line| line.points.iter().map(|point| point.0))
        };
        let (low, high) = (
            sizes().fold(f64::INFINITY, f64::min),
            sizes().fold(0.0, f64::max),
        );
        Scale {
            low,
            high,
            log: high / low > 8.0,
            from: LEFT + 14.0,
            to: WIDTH - RIGHT - 14.0,
        }
    }

    /// Logarithmic where figures span more than one order; else from 0, so that a line that is flat looks flat.
    fn y_scale(&self) -> Scale {
        let figures = || {
            self.lines
                .iter()
                .flat_map(|line| line.points.iter().flat_map(|point| [point.2.0, point.2.1]))
        };
        let (low, high) = (
            figures().fold(f64::INFINITY, f64::min),
            figures().fold(0.0, f64::max),
        );
        let log = high / low > 12.0;
        let (low, high) = if log {
            (nice_below(low), nice_below(high * 2.5))
        } else {
            let step = step(high);
            (0.0, (high / step).ceil() * step)
        };
        Scale {
            low,
            high,
            log,
            from: HEIGHT - BOTTOM,
            to: TOP,
        }
    }

    fn frame(&self, out: &mut String, x: &Scale, y: &Scale) {
        add(
            out,
            format_args!(
                "<text class=\"title\" x=\"{LEFT}\" y=\"28\">{}</text>",
                escaped(&self.title)
            ),
        );
        rows(out, y);
        self.columns(out, x);
        self.labels(out, x, y);
    }

    /// Ticks below the lines at the sizes that were measured, numbered where there is room.
    fn columns(&self, out: &mut String, x: &Scale) {
        let mut sizes: Vec<f64> = self
            .lines
            .iter()
            .flat_map(|line| line.points.iter().map(|point| point.0))
            .collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        let mut free = f64::NEG_INFINITY;
        for size in sizes {
            let at = x.at(size);
            add(
                out,
                format_args!(
                    "<path class=\"grid\" d=\"M{at:.1} {:.1}v5\"/>",
                    HEIGHT - BOTTOM
                ),
            );
            if at - free > 34.0 {
                let shown = if self.x.bytes {
                    bytes(size)
                } else {
                    number(size)
                };
                add(
                    out,
                    format_args!(
                        "<text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{shown}</text>",
                        HEIGHT - BOTTOM + 20.0
                    ),
                );
                free = at;
            }
        }
    }

    /// What the axes show.
    fn labels(&self, out: &mut String, x: &Scale, y: &Scale) {
        let scales = match (x.log, y.log) {
            (true, true) => "both axes logarithmic",
            (true, false) => "horizontal axis logarithmic",
            (false, true) => "vertical axis logarithmic",
            (false, false) => "",
        };
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        add(
            out,
            format_args!(
                "<text class=\"label\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - 20.0,
                escaped(&self.x.label)
            ),
        );
        add(
            out,
            format_args!(
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{scales}</text>",
                WIDTH - 14.0,
                HEIGHT - 20.0
            ),
        );
        let middle = f64::midpoint(TOP, HEIGHT - BOTTOM);
        add(
            out,
            format_args!(
                "<text class=\"label\" transform=\"translate(20 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
                escaped(&self.y)
            ),
        );
    }

    /// The lines' names at their ends, moved apart where they would touch.
    fn names(&self, out: &mut String, ends: &[f64]) {
        const APART: f64 = 17.0;
        let mut order: Vec<usize> = (0..ends.len()).collect();
        order.sort_by(|a, b| ends[*a].total_cmp(&ends[*b]));
        let mut free = TOP;
        let mut places = vec![0.0; ends.len()];
        for at in &order {
            places[*at] = ends[*at].max(free);
            free = places[*at] + APART;
        }
        let over = (free - APART - (HEIGHT - BOTTOM)).max(0.0);
        for (number, line) in self.lines.iter().enumerate().take(ends.len()) {
            let (class, place) = (line.look % COLOURS.len(), places[number] - over + 4.0);
            let at = WIDTH - RIGHT + 8.0;
            add(
                out,
                format_args!(
                    "<path class=\"l c{class}\" d=\"M{at:.1} {:.1}h22\"/>",
                    place - 4.0
                ),
            );
            add(
                out,
                format_args!(
                    "<text class=\"name n{class}\" x=\"{:.1}\" y=\"{place:.1}\">{}</text>",
                    at + 28.0,
                    escaped(&line.name)
                ),
            );
        }
    }
}

fn add(out: &mut String, element: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = out.write_fmt(element);
    out.push('\n');
}

fn style() -> String {
    let mut out = String::from(
        "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-size:15px;font-weight:600}.tick{font-size:12px;fill:#57606a}\n\
         .ground{fill:#fff;stroke:#d0d7de}.grid{stroke:#d8dee4;fill:none}.l{fill:none;stroke-width:2}.r{fill:none;opacity:.45}.name{font-weight:600}\n",
    );
    for (class, ((bright, _), dashes)) in COLOURS.iter().zip(DASHES).enumerate() {
        let dash = if dashes.is_empty() {
            String::new()
        } else {
            format!(".l.c{class}{{stroke-dasharray:{dashes}}}")
        };
        add(
            &mut out,
            format_args!(".c{class}{{stroke:{bright}}}.d{class},.n{class}{{fill:{bright}}}{dash}"),
        );
    }
    out.push_str("@media (prefers-color-scheme:dark){text{fill:#e6edf3}.tick{fill:#9da7b3}.ground{fill:#0d1117;stroke:#30363d}.grid{stroke:#30363d}\n");
    for (class, (_, dark)) in COLOURS.iter().enumerate() {
        add(
            &mut out,
            format_args!(".c{class}{{stroke:{dark}}}.d{class},.n{class}{{fill:{dark}}}"),
        );
    }
    out.push_str("}\n");
    out
}

/// Lines across the chart, numbered at their left.
fn rows(out: &mut String, y: &Scale) {
    for value in ticks(y) {
        let at = y.at(value);
        add(
            out,
            format_args!(
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/>",
                WIDTH - RIGHT
            ),
        );
        add(
            out,
            format_args!(
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                number(value)
            ),
        );
    }
}

/// Where an axis has lines.
fn ticks(scale: &Scale) -> Vec<f64> {
    if !scale.log {
        let step = step(scale.high);
        return (0..=(scale.high / step).round() as usize)
            .map(|n| n as f64 * step)
            .collect();
    }
    let mut ticks = Vec::new();
    let mut decade = 10_f64.powf(scale.low.log10().floor());
    let wide = scale.high / scale.low > 2000.0;
    while decade <= scale.high {
        for factor in if wide { &[1.0][..] } else { &[1.0, 2.0, 5.0] } {
            let tick = decade * factor;
            if tick >= scale.low * 0.999 && tick <= scale.high * 1.001 {
                ticks.push(tick);
            }
        }
        decade *= 10.0;
    }
    ticks
}

/// The largest of 1, 2 and 5 times a power of ten that is not above this.
fn nice_below(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let factor = [5.0, 2.0, 1.0]
        .into_iter()
        .find(|factor| factor * decade <= value * 1.000_001);
    decade * factor.unwrap_or(1.0)
}

fn step(high: f64) -> f64 {
    nice_below(high / 3.0)
}

fn number(value: f64) -> String {
    if value >= 1.0 || value == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value}")
    }
}

/// A number of bytes in the unit that makes it short.
pub fn bytes(value: f64) -> String {
    match value {
        1_048_576.0.. => format!("{} MiB", value / 1_048_576.0),
        1024.0.. => format!("{} KiB", value / 1024.0),
        _ => format!("{value} B"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
