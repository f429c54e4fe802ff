//! Colours that a terminal tells (XParseColor(3)).

/// Whether a colour is more light than dark: `rgb:ffff/ffff/ffff`, `rgba:…`, `#ffffff`, with one to four digits each.
pub(super) fn is_light(colour: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(colour).ok()?;
    let parts: Vec<&str> = if let Some(digits) = text.strip_prefix('#') {
        let each = digits.len() / 3;
        (0..3)
            .map(|part| digits.get(part * each..(part + 1) * each))
            .collect::<Option<_>>()?
    } else {
        let parts = text
            .strip_prefix("rgba:")
            .or_else(|| text.strip_prefix("rgb:"))?;
        parts.split('/').take(3).collect()
    };
    let share = |digits: &str| {
        let most = 16f64.powi(i32::try_from(digits.len()).ok()?) - 1.0;
        let value = u16::from_str_radix(digits, 16).ok()?;
        Some(f64::from(value) / most)
    };
    let [red, green, blue] = parts[..] else {
        return None;
    };
    // Relative luminance (ITU-R BT.709), with the gamma of sRGB taken as 2.2.
    let linear = |digits| Some(f64::powf(share(digits)?, 2.2));
    let light = 0.2126 * linear(red)? + 0.7152 * linear(green)? + 0.0722 * linear(blue)?;
    Some(light > 0.18)
}
