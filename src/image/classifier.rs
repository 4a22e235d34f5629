//! pycaffe's preparation: `caffe.Classifier` and `caffe.io.Transformer`.
//!
//! Picture (8-bit RGB) → resize to `image_dims` (the aspect is not kept) → crop → planes in the
//! network's colour order → × `raw_scale` → − mean → × `input_scale`. The input counts as 0..1, so
//! the usual `raw_scale` of 255 brings 8-bit values back.

use std::borrow::Cow;

use super::crop::{check_buffer, copy_planes, mirror_rows};
use super::resize::{antialias, fast, opencv, pycaffe_photo};
use super::{Crop, FloatPicture, ImageError, Mean, Picture, Resize, Size, centre_crop, ten_crops};

/// In which order a network's input has its colour planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ChannelOrder {
    /// Blue, green, red: every network trained with Caffe.
    #[default]
    Bgr,
    /// Red, green, blue.
    Rgb,
}

/// The settings of a [`Classifier`].
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierOptions {
    /// The size that pictures are resized to before the crop. Unused with [`Resize::None`].
    pub image_dims: Size,
    /// The size of the crop: the network's input.
    pub crop: Size,
    /// The order of the network's colour planes.
    pub channel_order: ChannelOrder,
    /// The mean, blue, green, red whatever `channel_order` says. A mean image is resized to `crop`.
    pub mean: Mean,
    /// What samples in 0..1 are multiplied by before the mean is subtracted.
    pub raw_scale: f32,
    /// What samples are multiplied by after the mean is subtracted.
    pub input_scale: f32,
    /// How pictures are resized.
    pub resize: Resize,
}

impl Default for ClassifierOptions {
    /// 256 × 256, a crop of 227 × 227, BGR, no mean, 0..255, anti-aliased.
    fn default() -> Self {
        Self {
            image_dims: Size::square(256),
            crop: Size::square(227),
            channel_order: ChannelOrder::Bgr,
            mean: Mean::None,
            raw_scale: 255.0,
            input_scale: 1.0,
            resize: Resize::Antialias,
        }
    }
}

/// Prepares pictures as pycaffe does.
#[derive(Clone, Debug)]
pub struct Classifier {
    options: ClassifierOptions,
}

/// A picture at the size that crops are taken from: `f32` in 0..1 or 8-bit.
enum Resized<'a> {
    Float(FloatPicture),
    Bytes(Cow<'a, Picture>),
}

impl Resized<'_> {
    fn size(&self) -> Size {
        match self {
            Self::Float(p) => p.size(),
            Self::Bytes(p) => p.size(),
        }
    }
}

impl Classifier {
    /// Checks the settings and resizes a mean image to the crop, once.
    ///
    /// Fails when a size is zero, the crop is larger than `image_dims`, a scale is not a finite
    /// number or a mean image is not of three channels.
    pub fn new(mut options: ClassifierOptions) -> Result<Self, ImageError> {
        options.crop.check("the crop")?;
        if options.resize != Resize::None {
            options.image_dims.check("the size to resize to")?;
            centre_crop(options.image_dims, options.crop)?;
        }
        for (setting, value) in
            [("raw_scale", options.raw_scale), ("input_scale", options.input_scale)]
        {
            if !value.is_finite() {
                return Err(ImageError::BadSetting {
                    setting,
                    reason: format!("{value} is not a finite number"),
                });
            }
        }
        if let Mean::Image(mean) = &options.mean {
            options.mean = Mean::Image(mean.resized(options.crop)?);
        }
        options.mean.check(3, options.crop)?;
        Ok(Self { options })
    }

    /// The settings; a mean image has the crop's size.
    pub fn options(&self) -> &ClassifierOptions {
        &self.options
    }

    /// How many values one prepared crop has: 3 × height × width.
    pub fn crop_len(&self) -> usize {
        3 * self.options.crop.height * self.options.crop.width
    }

    /// Writes the centre crop, (3, height, width), into `out` of [`crop_len`](Self::crop_len)
    /// values, `mirrored` left for right on demand.
    ///
    /// Fails when `out` has another length or, with [`Resize::None`], the picture is smaller than
    /// the crop.
    pub fn prepare(
        &self,
        picture: &Picture,
        mirrored: bool,
        out: &mut [f32],
    ) -> Result<(), ImageError> {
        check_buffer(out, self.crop_len())?;
        let resized = self.resize(picture)?;
        let centre = centre_crop(resized.size(), self.options.crop)?;
        self.write(&resized, Crop { mirrored, ..centre }, out);
        Ok(())
    }

    /// Writes the ten crops of [`ten_crops`], (10, 3, height, width), into `out` of ten times
    /// [`crop_len`](Self::crop_len) values. As in pycaffe the mean is not mirrored with the crop.
    ///
    /// Fails as [`prepare`](Self::prepare) does.
    pub fn prepare_ten(&self, picture: &Picture, out: &mut [f32]) -> Result<(), ImageError> {
        check_buffer(out, 10 * self.crop_len())?;
        let resized = self.resize(picture)?;
        let crops = ten_crops(resized.size(), self.options.crop)?;
        for (crop, out) in crops.into_iter().zip(out.chunks_exact_mut(self.crop_len())) {
            self.write(&resized, crop, out);
        }
        Ok(())
    }

    /// The picture at the size that crops are taken from.
    fn resize<'a>(&self, picture: &'a Picture) -> Result<Resized<'a>, ImageError> {
        let to = self.options.image_dims;
        Ok(match self.options.resize {
            Resize::Pycaffe => Resized::Float(pycaffe_photo(picture, to)?),
            Resize::OpenCv => Resized::Bytes(Cow::Owned(opencv(picture, to)?)),
            Resize::Antialias => Resized::Bytes(Cow::Owned(antialias(picture, to)?)),
            Resize::Fast => Resized::Bytes(Cow::Owned(fast(picture, to)?)),
            Resize::None => {
                picture.check()?;
                Resized::Bytes(Cow::Borrowed(picture))
            }
        })
    }

    /// Writes one crop, which lies within the picture, into `out`, (3, height, width).
    fn write(&self, picture: &Resized<'_>, crop: Crop, out: &mut [f32]) {
        let options = &self.options;
        let (colours, means) = match options.channel_order {
            ChannelOrder::Bgr => ([2, 1, 0], [0, 1, 2]),
            ChannelOrder::Rgb => ([0, 1, 2], [2, 1, 0]),
        };
        let place = (crop, options.crop);
        match picture {
            Resized::Float(p) => {
                let scale = options.raw_scale;
                copy_planes((&p.data, p.width, 3), place, &colours, |v| v * scale, out);
            }
            Resized::Bytes(p) => {
                // 8-bit samples count as value / 255; at the usual scale of 255 this is exact.
                let scale = options.raw_scale / 255.0;
                let value = |v| f32::from(v) * scale;
                copy_planes((&p.data, p.width, 3), place, &colours, value, out);
            }
        }
        if crop.mirrored {
            mirror_rows(out, options.crop.width);
        }
        options.mean.subtract(out, options.crop, &means, (0, 0));
        if options.input_scale != 1.0 {
            out.iter_mut().for_each(|v| *v *= options.input_scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{golden, largest_difference, npy, photo, shared};
    use super::super::{Limits, MeanImage, decode_file};
    use super::*;

    /// pycaffe's settings for the slim CaffeNet with `mean`.
    fn slim(mean: Mean) -> Classifier {
        Classifier::new(ClassifierOptions { mean, resize: Resize::Pycaffe, ..Default::default() })
            .unwrap()
    }

    /// The mean of the slim networks, one value per channel.
    fn slim_mean(folder: &std::path::Path) -> Mean {
        let means = npy(&folder.join("mean_channels_bgr.npy")).data;
        Mean::Channels(means.try_into().unwrap())
    }

    #[test]
    fn the_cat_agrees_with_pycaffe() {
        let Some(folder) = shared("caffenet-slim") else {
            return;
        };
        let cat = decode_file(&folder.join("cat_decoded.png"), &Limits::default()).unwrap();
        let classifier = slim(slim_mean(&folder));
        let mut out = vec![0.0; classifier.crop_len()];
        classifier.prepare(&cat, false, &mut out).unwrap();
        let wanted = npy(&folder.join("caffenet_cat/data.npy"));
        assert_eq!(wanted.shape, [1, 3, 227, 227]);
        let error = largest_difference(&out, &wanted.data);
        println!("cat: at most {error:e} of 255");
        assert!(error <= 3.1e-5, "{error:e}");
    }

    #[test]
    fn ten_crops_sum_as_in_pycaffe() {
        let Some(folder) = shared("caffenet-slim") else {
            return;
        };
        let cat = decode_file(&folder.join("cat_decoded.png"), &Limits::default()).unwrap();
        let classifier = slim(slim_mean(&folder));
        let mut out = vec![0.0; 10 * classifier.crop_len()];
        classifier.prepare_ten(&cat, &mut out).unwrap();
        // From info.json, summed in double precision.
        let wanted = [
            -5370807.626312256,
            -4717355.281856537,
            -3400091.453727722,
            -2643949.285900116,
            -4002289.788093567,
        ];
        for (i, crop) in out.chunks_exact(classifier.crop_len()).enumerate() {
            let sum: f64 = crop.iter().map(|&v| f64::from(v)).sum();
            assert!((sum - wanted[i % 5]).abs() < 1.0, "crop {i}: {sum}");
        }
        // The sixth is the first mirrored, the fifth is the centre crop.
        let mut first = out[..classifier.crop_len()].to_vec();
        mirror_rows(&mut first, 227);
        assert_eq!(first, out[5 * classifier.crop_len()..6 * classifier.crop_len()]);
        let mut centre = vec![0.0; classifier.crop_len()];
        classifier.prepare(&cat, false, &mut centre).unwrap();
        assert_eq!(centre, out[4 * classifier.crop_len()..5 * classifier.crop_len()]);
        classifier.prepare(&cat, true, &mut centre).unwrap();
        assert_eq!(centre, out[9 * classifier.crop_len()..]);
    }

    /// The floats of a BlobProto of legacy dimensions: field 5, packed, takes almost all bytes.
    fn binaryproto_floats(bytes: &[u8], count: usize) -> Vec<f32> {
        let tag = [0x2a, 0x80, 0x80, 0x30]; // field 5, length 4 · 3 · 256 · 256 = 786432
        let start = bytes.windows(4).position(|w| w == tag).unwrap() + 4;
        bytes[start..start + 4 * count]
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    }

    #[test]
    fn a_mean_image_is_resized_as_in_pycaffe() {
        let Some(folder) = shared("caffenet-slim") else {
            return;
        };
        let bytes = std::fs::read(folder.join("mean.binaryproto")).unwrap();
        let values = binaryproto_floats(&bytes, 3 * 256 * 256);
        let mean = MeanImage::new(&[3, 256, 256], values).unwrap();
        let Mean::Channels(wanted) = slim_mean(&folder) else { unreachable!() };
        assert!(largest_difference(&mean.channel_means(), &wanted) < 1e-4);
        let classifier = slim(Mean::Image(mean));
        let limits = Limits::default();
        let photo = decode_file(&folder.join("fish-bike.jpg"), &limits).unwrap();
        let mut out = vec![0.0; classifier.crop_len()];
        classifier.prepare(&photo, false, &mut out).unwrap();
        let wanted = npy(&folder.join("caffenet_fish-bike/data.npy"));
        let most = largest_difference(&out, &wanted.data);
        let apart = out.iter().zip(&wanted.data).map(|(a, b)| f64::from(a - b).abs());
        let average = apart.sum::<f64>() / out.len() as f64;
        println!("fish-bike, decoders differ: at most {most}, {average:.4} on average of 255");
        assert!(most <= 8.0 && average < 0.3, "{most} {average}");
    }

    #[test]
    fn unresized_pictures_and_colour_orders_by_hand() {
        let data: Vec<u8> = (0..12).collect();
        let picture = Picture::new(Size::new(2, 2), data).unwrap();
        let options = ClassifierOptions {
            crop: Size::new(1, 2),
            mean: Mean::Channels([1.0, 2.0, 3.0]),
            input_scale: 2.0,
            resize: Resize::None,
            ..Default::default()
        };
        let mut out = [0.0; 6];
        let classifier = Classifier::new(options.clone()).unwrap();
        classifier.prepare(&picture, false, &mut out).unwrap();
        assert_eq!(out, [2.0, 8.0, -2.0, 4.0, -6.0, 0.0]); // 2·(b−1), 2·(g−2), 2·(r−3)
        let rgb = ClassifierOptions { channel_order: ChannelOrder::Rgb, ..options.clone() };
        let classifier = Classifier::new(rgb).unwrap();
        classifier.prepare(&picture, true, &mut out).unwrap();
        assert_eq!(out, [0.0, -6.0, 4.0, -2.0, 8.0, 2.0]);
        assert!(classifier.prepare(&picture, false, &mut out[..5]).is_err());
        let large = ClassifierOptions { crop: Size::square(3), ..options };
        let classifier = Classifier::new(large).unwrap();
        let refused = classifier.prepare(&picture, false, &mut [0.0; 27]);
        assert!(matches!(refused, Err(ImageError::CropOutside { .. })));
    }

    #[test]
    fn eight_bit_resizers_give_whole_numbers() {
        let picture = photo("p0.png");
        for resize in [Resize::OpenCv, Resize::Antialias, Resize::Fast] {
            let options = ClassifierOptions {
                image_dims: Size::new(20, 18),
                crop: Size::new(20, 18),
                resize,
                ..Default::default()
            };
            let classifier = Classifier::new(options).unwrap();
            let mut out = vec![0.5; classifier.crop_len()];
            classifier.prepare(&picture, false, &mut out).unwrap();
            assert!(out.iter().all(|v| v.fract() == 0.0 && (0.0..=255.0).contains(v)));
        }
        assert!(golden("p0.png").exists());
    }

    #[test]
    fn impossible_settings_are_refused() {
        let refuse = |options| assert!(Classifier::new(options).is_err());
        let base = ClassifierOptions::default;
        refuse(ClassifierOptions { crop: Size::square(257), ..base() });
        refuse(ClassifierOptions { crop: Size::square(0), ..base() });
        refuse(ClassifierOptions { raw_scale: f32::NAN, ..base() });
        let gray = MeanImage::new(&[1, 2, 2], vec![0.0; 4]).unwrap();
        refuse(ClassifierOptions { mean: Mean::Image(gray), ..base() });
    }
}
