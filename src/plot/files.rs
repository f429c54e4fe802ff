//! Charts as files: SVG for paper and browsers, PNG for what shows no SVG.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use plotters::{
    backend::{BitMapBackend, SVGBackend},
    drawing::IntoDrawingArea as _,
};

use super::{
    Error,
    chart::Chart,
    draw::{SIZE, draw},
};

/// Pixels of a PNG for each unit of the chart: sharp on the screens of today.
const SCALE: u32 = 2;

/// plotters reckons the room above a text's letters into its height.
const SINK: f64 = 0.14;

/// A file that is ready to be written.
#[derive(Debug)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Draws the chart in both forms.
pub fn render(chart: &Chart) -> Result<[File; 2], Error> {
    Ok([
        File {
            name: format!("{}.svg", chart.name),
            content: svg(chart)?.into_bytes(),
        },
        File {
            name: format!("{}.png", chart.name),
            content: png(chart)?,
        },
    ])
}

fn svg(chart: &Chart) -> Result<String, Error> {
    let mut text = String::new();
    {
        let paper = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        draw(chart, &paper, 1.0, 0.0)?;
        paper.present().map_err(|error| failed(chart, &error))?;
    }
    Ok(text)
}

fn png(chart: &Chart) -> Result<Vec<u8>, Error> {
    let (width, height) = (SIZE.0 * SCALE, SIZE.1 * SCALE);
    let mut pixels = vec![0; width as usize * height as usize * 3];
    {
        let paper = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        draw(chart, &paper, f64::from(SCALE), SINK)?;
        paper.present().map_err(|error| failed(chart, &error))?;
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder
        .write_header()
        .map_err(|error| failed(chart, &error))?;
    writer
        .write_image_data(&pixels)
        .and_then(|()| writer.finish())
        .map_err(|error| failed(chart, &error))?;
    Ok(file)
}

fn failed(chart: &Chart, error: &impl ToString) -> Error {
    Error::Draw(chart.name.clone(), error.to_string())
}

impl File {
    /// Writes it into `dir`, which is made where it is missing; gives its path.
    pub fn write(&self, dir: &Path) -> Result<PathBuf, Error> {
        let path = dir.join(&self.name);
        fs::create_dir_all(dir)
            .and_then(|()| fs::File::create(&path))
            .and_then(|mut file| file.write_all(&self.content))
            .map_err(|error| Error::Write(path.clone(), error))?;
        Ok(path)
    }
}
