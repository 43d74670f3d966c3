//! A picture of a comparison: server CPU and 99th percentile, a bar a server, a group a row.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;
use std::path::Path;

/// Pixels of each of the two charts.
const SIZE: (u32, u32) = (960, 300);
/// Bars, in the order of the servers.
const COLORS: [RGBColor; 5] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(127, 127, 127),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
];
/// Part of a group's width that its bars take.
const FILLED: f64 = 0.8;

/// How much higher a chart is than its highest bar: the legend stands there.
const HEADROOM: f64 = 1.4;

/// What one chart shows.
pub struct Chart {
    /// Its title, with the unit.
    pub title: &'static str,
    /// A group of bars a row: a label, and a value a server.
    pub groups: Vec<(String, Vec<f64>)>,
}

/// Draws charts below each other into an SVG file. `servers` name the bars.
///
/// # Errors
/// Where the file cannot be written.
pub fn draw(path: &Path, servers: &[String], charts: &[Chart]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (SIZE.0, SIZE.1 * charts.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, chart) in root.split_evenly((charts.len(), 1)).iter().zip(charts) {
        draw_chart(area, servers, chart).map_err(|error| error.to_string())?;
    }
    root.present()?;
    Ok(())
}

fn draw_chart<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    servers: &[String],
    chart: &Chart,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
    let highest = chart.groups.iter().flat_map(|(_, values)| values).copied().fold(f64::MIN_POSITIVE, f64::max);
    let groups = chart.groups.len() as f64;
    let mut context = ChartBuilder::on(area)
        .caption(chart.title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..groups, 0.0..highest * HEADROOM)?;
    context.configure_mesh().disable_x_mesh().disable_x_axis().max_light_lines(1).y_labels(6).draw()?;
    let below = TextStyle::from(("sans-serif", 12)).pos(Pos::new(HPos::Center, VPos::Top));
    for (group, (label, _)) in chart.groups.iter().enumerate() {
        let place = EmptyElement::at((group as f64 + 0.5, 0.0));
        context.plotting_area().draw(&(place + Text::new(label.clone(), (0, 6), below.clone())))?;
    }
    let width = FILLED / servers.len() as f64;
    for (number, server) in servers.iter().enumerate() {
        let color = COLORS[number % COLORS.len()];
        let bars = chart.groups.iter().enumerate().filter_map(|(group, (_, values))| {
            let left = group as f64 + (1.0 - FILLED) / 2.0 + number as f64 * width;
            values.get(number).map(|value| Rectangle::new([(left, 0.0), (left + width, *value)], color.filled()))
        });
        let series = context.draw_series(bars)?;
        series
            .label(server.as_str())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], color.filled()));
    }
    context.configure_series_labels().background_style(WHITE.mix(0.8)).position(SeriesLabelPosition::UpperRight).draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_bar_for_each_value() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plot.svg");
        let servers = ["one".to_owned(), "other".to_owned()];
        let groups = vec![("GET 1".to_owned(), vec![1.0, 2.0]), ("GET 16".to_owned(), vec![0.5, 0.25])];
        draw(&path, &servers, &[Chart { title: "CPU, us", groups }]).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("CPU, us") && svg.contains("GET 16") && svg.contains("other"));
        let bars = |color: &str| svg.matches(color).count();
        // And one in the legend.
        assert_eq!((bars("#1F77B4"), bars("#FF7F0E")), (3, 3), "{svg}");
    }
}
