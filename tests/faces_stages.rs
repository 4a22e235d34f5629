//! Stage cascades learn discs from drawn crops, and find them in a new picture.

use image::GrayImage;
use likenet::faces::train::Boosting;
use likenet::faces::train::stages::{Features, StageOptions, StageStep, Staged, train_stages};
use likenet::image::GrayPicture;
use likenet::rng::Rng;
use std::path::Path;

/// Noise, and some bars in it.
fn background(width: u32, height: u32, rng: &mut Rng) -> GrayImage {
    let base = rng.uniform(20.0, 90.0);
    let bars: Vec<[f32; 4]> = (0..12)
        .map(|_| {
            let [x, y] = [width, height].map(|n| rng.uniform(0.0, n as f32));
            [x, y, x + rng.uniform(3.0, 50.0), y + rng.uniform(3.0, 50.0)]
        })
        .collect();
    let levels: Vec<f32> = bars.iter().map(|_| rng.uniform(-50.0, 120.0)).collect();
    GrayImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32, y as f32);
        let inside = |b: &[f32; 4]| b[0] < x && x < b[2] && b[1] < y && y < b[3];
        let bar =
            bars.iter().zip(&levels).find(|(b, _)| inside(b)).map_or(0.0, |(_, level)| *level);
        image::Luma([(base + bar + rng.gaussian(0.0, 6.0)).clamp(0.0, 255.0) as u8])
    })
}

/// A bright disc on dark: `square` is its window, whose middle 0.7 it fills.
fn disc(picture: &mut GrayImage, square: [f32; 3], rng: &mut Rng) {
    let [left, top, side] = square;
    let (dark, bright) = (rng.uniform(20.0, 60.0), rng.uniform(130.0, 220.0));
    for y in top as u32..(top + side) as u32 {
        for x in left as u32..(left + side) as u32 {
            let from_middle = |v: u32, start: f32| v as f32 + 0.5 - start - side / 2.0;
            let radius = from_middle(x, left).hypot(from_middle(y, top));
            let level = if radius < 0.35 * side { bright } else { dark };
            let level = (level + rng.gaussian(0.0, 6.0)).clamp(0.0, 255.0);
            picture.put_pixel(x, y, image::Luma([level as u8]));
        }
    }
}

/// Crops and backgrounds in files.
fn draw(folder: &Path) {
    let mut rng = Rng::new(5);
    let (faces, backgrounds) = (folder.join("faces"), folder.join("backgrounds"));
    for folder in [&faces, &backgrounds] {
        std::fs::create_dir(folder).expect("a new folder");
    }
    for i in 0..150 {
        let mut crop = GrayImage::new(60, 60);
        disc(&mut crop, [0.0, 0.0, 60.0], &mut rng);
        crop.save(faces.join(format!("{i}.png"))).expect("a crop");
    }
    for i in 0..12 {
        let picture = background(160, 120, &mut rng);
        picture.save(backgrounds.join(format!("{i}.png"))).expect("a background");
    }
}

fn gray(picture: GrayImage) -> GrayPicture {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    GrayPicture { width, height, data: picture.into_raw() }
}

/// Trains, and looks for new discs with what `find` finds: windows (left, top, side).
fn learns(options: &StageOptions, find: impl Fn(&Staged, &GrayPicture) -> Vec<[i32; 4]>) -> Staged {
    let folder = tempfile::tempdir().expect("a folder");
    draw(folder.path());
    let mut steps = Vec::new();
    let [faces, backgrounds] = ["faces", "backgrounds"].map(|name| folder.path().join(name));
    let staged = train_stages(&faces, &backgrounds, options, &mut |step| steps.push(step));
    let staged = staged.expect("a cascade");
    assert_eq!(steps[0], StageStep::Listed(150, 12));
    assert!(matches!(steps.last(), Some(StageStep::Hits(rate)) if *rate >= 0.9), "{steps:?}");

    let mut rng = Rng::new(77);
    let (mut found, mut wrong) = (0, 0);
    for _ in 0..10 {
        let mut picture = background(240, 140, &mut rng);
        let squares =
            [[10.0, 20.0, rng.uniform(48.0, 80.0)], [130.0, 35.0, rng.uniform(48.0, 90.0)]];
        squares.iter().for_each(|square| disc(&mut picture, *square, &mut rng));
        let hits = find(&staged, &gray(picture));
        let near = |hit: &[i32; 4], [x, y, side]: [f32; 3]| {
            let middle = |start: i32, length: i32| start as f32 + length as f32 / 2.0;
            let off = (middle(hit[0], hit[2]) - x - side / 2.0)
                .hypot(middle(hit[1], hit[3]) - y - side / 2.0);
            off < 0.25 * side && (0.6..1.6).contains(&(hit[2] as f32 / side))
        };
        found += squares.iter().filter(|&&s| hits.iter().any(|hit| near(hit, s))).count();
        wrong += hits.iter().filter(|hit| !squares.iter().any(|&s| near(hit, s))).count();
    }
    assert!(found >= 18, "{found} of 20 discs");
    assert!(wrong <= 2, "{wrong} others");
    staged
}

fn options(features: Features) -> StageOptions {
    let options = StageOptions::new(features);
    StageOptions { stages: 4, weak: 12, candidates: 48, negatives: 300, copies: 2, ..options }
}

#[cfg(feature = "sqlite")]
#[test]
fn surf_finds_discs() {
    use likenet::faces::scd::{Cascade, Image, Settings};
    let find = |staged: &Staged, picture: &GrayPicture| {
        let Staged::Scd(cascade) = staged else { panic!("{staged:?}") };
        let settings = Settings { min_size: 40, ..Settings::default() };
        let hits = cascade.detect(Image::Gray(picture), &settings).expect("settings");
        hits.iter().map(|hit| hit.rect).collect()
    };
    let Staged::Scd(cascade) = learns(&options(Features::Surf), find) else { unreachable!() };
    let file = tempfile::NamedTempFile::new().expect("a file");
    cascade.write(file.path()).expect("a valid cascade");
    assert_eq!(Cascade::read(file.path()).expect("a valid file"), cascade);
}

/// The cascade, which is one of OpenCV's.
fn opencv(staged: &Staged) -> &likenet::faces::opencv::Cascade {
    match staged {
        Staged::OpenCv(cascade) => cascade,
        #[cfg(feature = "sqlite")]
        Staged::Scd(_) => panic!("{staged:?}"),
    }
}

/// Trains on features of OpenCV's; the cascade's XML is the cascade.
fn opencv_finds_discs(options: &StageOptions) {
    use likenet::faces::opencv::{Cascade, Settings};
    let find = |staged: &Staged, picture: &GrayPicture| {
        let cascade = opencv(staged);
        let settings = Settings { min_size: 40, min_neighbours: 2, ..Settings::default() };
        let hits = cascade.detect(picture, &settings).expect("settings");
        hits.iter().map(|hit| hit.rect).collect()
    };
    let staged = learns(options, find);
    let cascade = opencv(&staged);
    assert_eq!(Cascade::parse(&cascade.to_xml()).expect("a valid file"), *cascade);
}

#[test]
fn haar_stumps_find_discs() {
    let options = options(Features::Haar { tilted: false });
    opencv_finds_discs(&StageOptions { candidates: 300, ..options });
}

#[test]
fn tilted_haar_trees_find_discs() {
    let options = options(Features::Haar { tilted: true });
    let boosting = Boosting::Real;
    opencv_finds_discs(&StageOptions { candidates: 300, depth: 2, boosting, ..options });
}

#[test]
fn local_binary_patterns_find_discs() {
    opencv_finds_discs(&StageOptions { candidates: 300, ..options(Features::Lbp) });
}

#[test]
fn options_are_checked() {
    let options = StageOptions { hit_rate: 0.0, ..options(Features::Lbp) };
    let nowhere = Path::new("nowhere");
    let error = train_stages(nowhere, nowhere, &options, &mut |_| ()).expect_err("no hits");
    assert!(error.to_string().contains("rates"), "{error}");
}
