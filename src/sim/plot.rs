// SPDX-License-Identifier: MPL-2.0

//! What has come of worlds, as plots.

use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::report::{Report, TimelinePoint};

/// Why plots could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("{0}: {1}")]
    Directory(PathBuf, std::io::Error),
    #[error("{0}: {1}")]
    Drawing(PathBuf, String),
}

/// A line and what it is of.
type Series = (String, Vec<(f64, f64)>);

/// What is plotted over time: file name, title, and the value of a point.
type OverTime = (&'static str, &'static str, fn(&TimelinePoint) -> Option<f64>);

/// What is plotted over the size of the audience.
type OverAudience = (&'static str, &'static str, fn(&Report) -> f64);

const OVER_TIME: [OverTime; 6] = [
    ("efficiency", "peer efficiency, %", |p| Some(p.peer_efficiency * 100.0)),
    ("rebuffering", "viewers that stand still, %", |p| Some(p.rebuffer_ratio * 100.0)),
    ("startup", "startup of who joined then, median, s", |p| p.startup_median),
    ("startup-p95", "startup of who joined then, 95th percentile, s", |p| p.startup_p95),
    ("viewers", "viewers", |p| Some(p.viewers)),
    ("borders", "over ISP borders, Gbit/s", |p| Some(p.border_bytes as f64 * 8.0 / 1e10)),
];

const OVER_AUDIENCE: [OverAudience; 5] = [
    ("efficiency", "peer efficiency after warm-up, %", |r| r.peer_efficiency_after_warm_up * 100.0),
    ("rebuffering", "rebuffering, %", |r| r.rebuffer_ratio * 100.0),
    ("startup", "startup, median, s", |r| r.startup_median),
    ("copies", "copies of a segment from the origin", |r| r.origin_copies_per_segment),
    ("borders", "share of peers' bytes that crossed ISP borders, %", |r| {
        100.0 * r.border_bytes as f64 / (r.peer_bytes as f64).max(1.0)
    }),
];

/// Writes plots over time for a few runs, or over the size of the audience for the runs of a sweep.
pub fn write(directory: &Path, reports: &[Report]) -> Result<(), PlotError> {
    std::fs::create_dir_all(directory).map_err(|error| PlotError::Directory(directory.into(), error))?;
    let sizes = |r: &Report| r.viewers;
    let is_sweep = reports.first().is_some_and(|first| reports.iter().any(|r| sizes(r) != sizes(first)));
    if is_sweep {
        let least = reports.iter().map(sizes).min().unwrap_or(1);
        let most = reports.iter().map(sizes).max().unwrap_or(1);
        for (name, title, value) in OVER_AUDIENCE {
            let axis = (f64::from(least)..f64::from(most)).log_scale();
            draw(directory, name, title, "viewers", axis, &by_hold_back(reports, value))?;
        }
        return Ok(());
    }
    let end = reports.iter().map(|r| r.duration).fold(0.0, f64::max);
    for (name, title, value) in OVER_TIME {
        draw(directory, name, title, "seconds", 0.0..end, &by_run(reports, value))?;
    }
    Ok(())
}

/// One line for each pair of segment duration and hold-back.
fn by_hold_back(reports: &[Report], value: fn(&Report) -> f64) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for report in reports {
        let held = report.segment * f64::from(report.hold_back);
        let name = format!("{held} s behind ({} x {} s)", report.hold_back, report.segment);
        let point = (f64::from(report.viewers), value(report));
        match series.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push(point),
            None => series.push((name, vec![point])),
        }
    }
    series
}

fn by_run(reports: &[Report], value: fn(&TimelinePoint) -> Option<f64>) -> Vec<Series> {
    let line = |report: &Report| {
        let points = report.timeline.iter().filter_map(|p| Some((p.at, value(p)?)));
        let how = if report.p2p { "with peers" } else { "HTTP alone" };
        (format!("{}, {how}", report.scenario), points.collect())
    };
    reports.iter().map(line).collect()
}

fn draw<X>(
    directory: &Path,
    name: &str,
    title: &str,
    x_title: &str,
    x_axis: X,
    series: &[Series],
) -> Result<(), PlotError>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let path = directory.join(format!("{name}.svg"));
    let drawn = draw_to(&path, title, x_title, x_axis, y_range(series), series);
    drawn.map_err(|error| PlotError::Drawing(path, error.to_string()))
}

fn y_range(series: &[Series]) -> Range<f64> {
    let values = || series.iter().flat_map(|(_, points)| points).map(|(_, y)| *y).filter(|y| y.is_finite());
    let most = values().fold(0.0, f64::max);
    // A line along the bottom can be seen when there is something above it.
    0.0..(most * 1.05).max(1e-3)
}

fn draw_to<X>(
    path: &Path,
    title: &str,
    x_title: &str,
    x_axis: X,
    y_axis: Range<f64>,
    series: &[Series],
) -> Result<(), Box<dyn std::error::Error>>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let root = SVGBackend::new(path, (960, 540)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .caption(title, ("sans-serif", 22))
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x_axis, y_axis)?;
    chart.configure_mesh().x_desc(x_title).light_line_style(WHITE).draw()?;
    for (index, (name, points)) in series.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let points = points.iter().copied().filter(|(_, y)| y.is_finite());
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    root.present()?;
    Ok(())
}
