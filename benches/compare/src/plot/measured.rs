//! What was measured, as it is read back.
use serde_json::Value;

/// All series of a run.
pub struct Growth {
    /// The machine, versions, the day.
    pub about: String,
    /// What grew.
    pub series: Vec<Series>,
}

/// One thing that grew.
pub struct Series {
    /// As its file is called.
    pub name: String,
    /// What was done.
    pub title: String,
    /// What grew.
    pub grows: String,
    points: Vec<Point>,
}

/// A candidate at a size; medians of its rounds.
pub struct Point {
    candidate: String,
    /// How much of what grows.
    pub size: f64,
    /// CPU microseconds a call.
    pub cpu: f64,
    /// The least and the most of it.
    pub cpu_range: (f64, f64),
    /// The median latency in milliseconds.
    pub median: f64,
}

impl Growth {
    /// Reads what `compare --growth` wrote.
    ///
    /// # Errors
    /// It is something else.
    pub fn read(text: &str) -> Result<Self, String> {
        let all: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let list = |value: &Value| value.as_array().cloned().ok_or("no list".to_owned());
        let text = |value: &Value| {
            value
                .as_str()
                .map(str::to_owned)
                .ok_or("no text".to_owned())
        };
        let series = list(&all["series"])?;
        let series: Result<_, String> = series
            .iter()
            .map(|series| {
                Ok(Series {
                    name: text(&series["name"])?,
                    title: text(&series["title"])?,
                    grows: text(&series["grows"])?,
                    points: list(&series["points"])?
                        .iter()
                        .map(|point| {
                            let cpu = figures(&point["cpu_us"])?;
                            Ok(Point {
                                candidate: text(&point["candidate"])?,
                                size: point["size"].as_f64().ok_or("no size")?,
                                cpu: middle(&cpu),
                                cpu_range: (cpu[0], cpu[cpu.len() - 1]),
                                median: middle(&figures(&point["p50_ms"])?),
                            })
                        })
                        .collect::<Result<_, String>>()?,
                })
            })
            .collect();
        Ok(Self {
            about: text(&all["about"])?,
            series: series?,
        })
    }
}

/// A figure for each round, the least first.
fn figures(value: &Value) -> Result<Vec<f64>, String> {
    let rounds = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut figures: Vec<f64> = rounds.iter().filter_map(Value::as_f64).collect();
    figures.sort_by(f64::total_cmp);
    if figures.is_empty() {
        Err("no figures".into())
    } else {
        Ok(figures)
    }
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        (sorted[half - 1] + sorted[half]) / 2.0
    }
}

impl Series {
    /// Who took part, in the order of the file.
    pub fn candidates(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for point in &self.points {
            if !names.contains(&point.candidate) {
                names.push(point.candidate.clone());
            }
        }
        names
    }

    /// What grew, in the order of the file.
    pub fn sizes(&self) -> Vec<f64> {
        let mut sizes: Vec<f64> = self.points.iter().map(|point| point.size).collect();
        sizes.dedup();
        sizes
    }

    /// A candidate's points.
    pub fn of(&self, candidate: &str) -> impl Iterator<Item = &Point> {
        self.points
            .iter()
            .filter(move |point| point.candidate == candidate)
    }
}
