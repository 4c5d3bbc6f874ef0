//! What lies behind the objects: sky or wall, hills, ground. A colour for each point of the picture, from the scene's numbers alone.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "cells are numbered from the floor of small numbers"
)]

use super::canvas::Point;
use super::colour::{Rgb, lighten, mix};
use super::noise::{grain, hash, noise};

/// The kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Setting {
    Meadow,
    Beach,
    Street,
    Room,
    Snowfield,
    Desert,
    Farm,
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Meadow,
        Self::Beach,
        Self::Street,
        Self::Room,
        Self::Snowfield,
        Self::Desert,
        Self::Farm,
    ];
}

/// What the backdrop depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backdrop {
    /// The kind of place.
    pub setting: Setting,
    /// Which colours it has: any number, reduced to those there are.
    pub palette: u32,
    /// Where the ground begins, as a share of the height from the top: 0.42 to 0.5.
    pub horizon: f32,
    /// Whether thin clouds are in the sky.
    pub clouds: bool,
    /// What tells its hills and grain from those of another.
    pub seed: u32,
}

/// Pairs of the colour above and the colour at the horizon.
const SKIES: [[Rgb; 2]; 6] = [
    [[0.33, 0.62, 0.92], [0.80, 0.92, 0.98]],
    [[0.45, 0.72, 0.95], [0.93, 0.95, 0.93]],
    [[0.40, 0.66, 0.82], [0.98, 0.91, 0.78]],
    [[0.52, 0.80, 0.88], [0.88, 0.96, 0.90]],
    [[0.58, 0.68, 0.90], [0.97, 0.87, 0.88]],
    [[0.66, 0.75, 0.82], [0.90, 0.92, 0.93]],
];
const GRASS: [[Rgb; 2]; 3] = [
    [[0.62, 0.78, 0.42], [0.36, 0.62, 0.28]],
    [[0.72, 0.80, 0.45], [0.48, 0.66, 0.27]],
    [[0.55, 0.76, 0.52], [0.28, 0.56, 0.33]],
];
const SAND: [[Rgb; 2]; 2] = [
    [[0.95, 0.87, 0.68], [0.90, 0.77, 0.53]],
    [[0.97, 0.91, 0.78], [0.93, 0.82, 0.63]],
];
const SNOW: [Rgb; 2] = [[0.86, 0.92, 0.98], [0.95, 0.97, 1.0]];
const DUNE: [[Rgb; 2]; 2] = [
    [[0.95, 0.76, 0.50], [0.86, 0.58, 0.33]],
    [[0.93, 0.70, 0.52], [0.80, 0.50, 0.36]],
];
/// Wall and floor.
const ROOMS: [[Rgb; 2]; 5] = [
    [[0.93, 0.86, 0.74], [0.66, 0.45, 0.28]],
    [[0.72, 0.84, 0.84], [0.72, 0.54, 0.36]],
    [[0.90, 0.78, 0.78], [0.58, 0.42, 0.32]],
    [[0.78, 0.84, 0.70], [0.76, 0.60, 0.42]],
    [[0.76, 0.78, 0.90], [0.62, 0.50, 0.42]],
];

fn pick<T: Copy>(from: &[T], palette: u32) -> T {
    from[palette as usize % from.len()]
}

/// A pixel's share of what lies below a line, `d` below it.
fn below(d: f32, unit: f32) -> f32 {
    (d / unit + 0.5).clamp(0.0, 1.0)
}

impl Backdrop {
    /// The colour at a point of the picture, where a pixel is `unit` wide.
    pub(super) fn colour(&self, at: Point, unit: f32) -> Rgb {
        let rgb = if self.setting == Setting::Room {
            self.room(at, unit)
        } else {
            self.outdoors(at, unit)
        };
        lighten(rgb, grain(at, self.seed) * 0.013)
    }

    fn outdoors(&self, at: Point, unit: f32) -> Rgb {
        let ground = below(at[1] - self.horizon, unit);
        if ground >= 1.0 {
            return self.ground(at, unit);
        }
        let far = self.far(at, unit);
        if ground <= 0.0 {
            far
        } else {
            mix(far, self.ground(at, unit), ground)
        }
    }

    /// Sky, and what stands at the horizon.
    fn far(&self, at: Point, unit: f32) -> Rgb {
        let [top, low] = pick(&SKIES, self.palette);
        let [top, low] = match self.setting {
            Setting::Desert => [
                mix(top, [0.55, 0.78, 0.90], 0.4),
                mix(low, [1.0, 0.88, 0.70], 0.6),
            ],
            Setting::Snowfield => [
                mix(top, [0.62, 0.76, 0.90], 0.5),
                mix(low, [0.92, 0.95, 1.0], 0.5),
            ],
            _ => [top, low],
        };
        let mut rgb = mix(top, low, (at[1] / self.horizon).clamp(0.0, 1.0));
        if self.clouds {
            let [x, y] = [at[0] * 3.0, at[1] * 9.0];
            let mist = 0.65 * noise([x, y], self.seed ^ 0x51)
                + 0.35 * noise([x * 2.3, y * 2.3], self.seed ^ 0x52);
            let fade = (1.0 - at[1] / self.horizon).clamp(0.0, 1.0);
            rgb = mix(
                rgb,
                [1.0; 3],
                ((mist - 0.52) * 3.0).clamp(0.0, 1.0) * 0.5 * (0.3 + 0.7 * fade),
            );
        }
        match self.setting {
            Setting::Meadow | Setting::Farm => self.hills(rgb, low, at, unit),
            Setting::Snowfield => self.peaks(rgb, low, at, unit),
            Setting::Desert => self.dunes(rgb, low, at, unit),
            Setting::Street => self.skyline(rgb, low, at, unit),
            Setting::Beach | Setting::Room => rgb,
        }
    }

    /// Two rows of hills, the farther one paler.
    fn hills(&self, mut rgb: Rgb, low: Rgb, at: Point, unit: f32) -> Rgb {
        let near = pick(&GRASS, self.palette)[0];
        for (row, (height, pale)) in [(0.13, 0.6), (0.07, 0.3)].into_iter().enumerate() {
            let seed = self.seed ^ (0x60 + row as u32);
            let rise = noise([at[0] * 2.4 + row as f32 * 0.4, 0.5], seed) * 0.8
                + noise([at[0] * 6.0, 0.5], seed) * 0.2;
            let line = self.horizon - height * rise;
            let cover = below(at[1] - line, unit);
            let hill = mix(lighten(near, -0.22), low, pale);
            rgb = mix(rgb, lighten(hill, (line - at[1]) * 0.8), cover);
        }
        rgb
    }

    /// Mountains with snow on them, and firs.
    fn peaks(&self, mut rgb: Rgb, low: Rgb, at: Point, unit: f32) -> Rgb {
        let x = at[0] * 3.0 + noise([0.5, 0.5], self.seed) * 3.0;
        let tooth = ((x - x.floor()) * 2.0 - 1.0).abs();
        let size = 0.12 + 0.1 * hash(x.floor() as i32, 3, self.seed);
        let rough = 0.02 * noise([at[0] * 24.0, 2.5], self.seed);
        let line = self.horizon - size * (1.0 - tooth) - rough - 0.02;
        let cap = below(line + size * 0.42 + rough * 2.0 - at[1], unit);
        let rock = mix([0.50, 0.58, 0.70], low, 0.35);
        rgb = mix(
            rgb,
            mix(rock, [0.97, 0.98, 1.0], cap),
            below(at[1] - line, unit),
        );
        let x = at[0] * 22.0;
        let tooth = ((x - x.floor()) * 2.0 - 1.0).abs();
        let wood = noise([at[0] * 3.0, 7.5], self.seed);
        let size = (0.03 + 0.045 * hash(x.floor() as i32, 5, self.seed))
            * (wood * 2.4 - 0.5).clamp(0.0, 1.0);
        let fir = self.horizon - size * (1.0 - tooth) + 0.002;
        mix(rgb, [0.28, 0.42, 0.42], below(at[1] - fir, unit) * 0.85)
    }

    fn dunes(&self, mut rgb: Rgb, low: Rgb, at: Point, unit: f32) -> Rgb {
        let sand = pick(&DUNE, self.palette);
        let mesa = noise([at[0] * 2.0, 0.5], self.seed ^ 0x71);
        let line = self.horizon - 0.15 * ((mesa - 0.5) * 9.0).clamp(0.0, 1.0)
            + 0.01 * noise([at[0] * 20.0, 0.5], self.seed);
        let band = noise([at[0] * 2.0, at[1] * 30.0], self.seed ^ 0x72);
        let rock = mix(
            mix([0.72, 0.42, 0.30], low, 0.35),
            [0.80, 0.56, 0.42],
            band * 0.6,
        );
        rgb = mix(rgb, rock, below(at[1] - line, unit));
        let line = self.horizon - 0.05 * noise([at[0] * 3.0, 4.5], self.seed ^ 0x73);
        mix(rgb, mix(sand[0], low, 0.2), below(at[1] - line, unit))
    }

    /// Houses of a town, far off.
    fn skyline(&self, mut rgb: Rgb, low: Rgb, at: Point, unit: f32) -> Rgb {
        const WALLS: [Rgb; 5] = [
            [0.80, 0.62, 0.54],
            [0.86, 0.78, 0.64],
            [0.62, 0.68, 0.76],
            [0.74, 0.58, 0.50],
            [0.80, 0.82, 0.80],
        ];
        for (row, (count, height, pale)) in [(9.0, 0.30, 0.68), (7.0, 0.2, 0.38)]
            .into_iter()
            .enumerate()
        {
            let x = at[0] * count + row as f32 * 0.37;
            let column = x.floor() as i32;
            let chance = hash(column, 11 + row as i32, self.seed);
            let line = self.horizon - height * (0.45 + 0.55 * chance);
            let which = (hash(column, 13, self.seed) * 4.99) as usize;
            let wall = mix(WALLS[which], low, pale);
            let [u, v] = [(x - x.floor()) * 4.0, (at[1] - line) * 26.0];
            let lattice = [u - u.floor(), v - v.floor()];
            let glass =
                (0.28..0.78).contains(&lattice[0]) && (0.3..0.75).contains(&lattice[1]) && v > 0.6;
            let house = if glass { lighten(wall, -0.16) } else { wall };
            rgb = mix(rgb, house, below(at[1] - line, unit));
        }
        rgb
    }

    /// The ground, drawn in perspective: `v` is the distance of the point, `u` how far aside it lies.
    fn ground(&self, at: Point, unit: f32) -> Rgb {
        let depth = ((at[1] - self.horizon) / (1.0 - self.horizon)).clamp(0.02, 1.0);
        let [u, v] = [(at[0] - 0.5) / depth, 1.0 / depth];
        let clear = (depth * 3.0).min(1.0);
        let patch = (noise([u * 3.0 + 9.0, v * 5.0], self.seed ^ 0x81) - 0.5) * clear;
        match self.setting {
            Setting::Meadow => self.grass([u, v], depth, patch, clear),
            Setting::Farm => self.field(u, depth, patch, clear),
            Setting::Beach => self.shore(at, depth, patch, unit),
            Setting::Street => street(at, self.horizon, u, depth, patch, unit),
            Setting::Snowfield => lighten(mix(SNOW[0], SNOW[1], depth), patch * 0.10 - 0.02),
            Setting::Desert | Setting::Room => {
                let [far, near] = pick(&DUNE, self.palette);
                let ripple = noise([u * 1.5, v * 16.0 + u], self.seed ^ 0x83) - 0.5;
                lighten(mix(far, near, depth), patch * 0.12 + ripple * 0.12 * clear)
            }
        }
    }

    fn grass(&self, [u, v]: Point, depth: f32, patch: f32, clear: f32) -> Rgb {
        let [far, near] = pick(&GRASS, self.palette);
        let rgb = lighten(mix(far, near, depth), patch * 0.16);
        let [x, y] = [u * 9.0 + 40.0, v * 14.0];
        let cell = [x.floor(), y.floor()];
        let chance = hash(cell[0] as i32, cell[1] as i32, self.seed ^ 0x91);
        if chance > 0.16 || depth < 0.12 {
            return rgb;
        }
        let [dx, dy] = [x - cell[0] - 0.5, y - cell[1] - 0.5];
        let dot = ((0.28 - (dx * dx + dy * dy).sqrt()) * 6.0).clamp(0.0, 1.0);
        let petals = if chance > 0.08 {
            [0.98, 0.97, 0.90]
        } else {
            [0.98, 0.88, 0.45]
        };
        mix(rgb, petals, dot * 0.75 * clear)
    }

    /// Rows of crops that meet far away.
    fn field(&self, u: f32, depth: f32, patch: f32, clear: f32) -> Rgb {
        const SOILS: [[Rgb; 2]; 3] = [
            [[0.66, 0.52, 0.36], [0.50, 0.66, 0.32]],
            [[0.88, 0.76, 0.46], [0.80, 0.66, 0.34]],
            [[0.58, 0.44, 0.32], [0.66, 0.72, 0.38]],
        ];
        let [soil, crop] = pick(&SOILS, self.palette);
        let row = u * 4.5;
        let wave = ((row - row.floor()) * 2.0 - 1.0).abs();
        let crops = ((wave - 0.45) * (1.0 + 9.0 * depth) + 0.5).clamp(0.0, 1.0);
        let rgb = mix(mix(soil, crop, 0.5), mix(soil, crop, crops), clear);
        lighten(mix(lighten(rgb, 0.2), rgb, depth), patch * 0.14)
    }

    /// Sea, foam and sand.
    fn shore(&self, at: Point, depth: f32, patch: f32, unit: f32) -> Rgb {
        let [dry, wet] = pick(&SAND, self.palette);
        let edge = self.horizon + 0.115 + 0.025 * noise([at[0] * 3.0, 0.5], self.seed ^ 0xa1);
        let share = ((at[1] - self.horizon) / 0.12).clamp(0.0, 1.0);
        let wave = noise(
            [at[0] * 7.0, (at[1] - self.horizon) * 110.0],
            self.seed ^ 0xa2,
        );
        let sea = lighten(
            mix([0.20, 0.50, 0.72], [0.42, 0.76, 0.80], share),
            (wave - 0.5) * 0.28,
        );
        let foam = below(at[1] - edge + 0.016, unit);
        let sand = below(at[1] - edge, unit);
        let beach = lighten(
            mix(wet, dry, (depth * 1.4 - 0.2).clamp(0.0, 1.0)),
            patch * 0.12,
        );
        mix(mix(sea, [0.97, 0.98, 0.97], foam), beach, sand)
    }

    fn room(&self, at: Point, unit: f32) -> Rgb {
        let [wall, floor] = pick(&ROOMS, self.palette);
        let edge = self.horizon + 0.09;
        let stripe = at[0] * 12.0;
        let stripe = ((stripe - stripe.floor()) * 2.0 - 1.0).abs();
        let mut rgb = lighten(
            wall,
            0.10 * ((stripe - 0.5) * 8.0).clamp(-0.5, 0.5) - (at[1] - 0.2) * 0.12,
        );
        rgb = mix(rgb, lighten(wall, 0.55), below(at[1] - edge + 0.035, unit));
        rgb = mix(rgb, lighten(floor, -0.4), below(at[1] - edge + 0.004, unit));
        let depth = ((at[1] - edge) / (1.0 - edge) * 0.75 + 0.25).clamp(0.25, 1.0);
        let board = (at[0] - 0.5) / depth * 5.0 + 20.0;
        let within = ((board - board.floor()) * 2.0 - 1.0).abs();
        let tone = hash(board.floor() as i32, 3, self.seed) * 0.14 - 0.07;
        let seam = ((within - 0.93) * 14.0).clamp(0.0, 1.0) * 0.25;
        let grain = (noise([board * 2.0, at[1] * 4.0], self.seed) - 0.5) * 0.08;
        let boards = lighten(floor, tone + grain - seam + (1.0 - depth) * 0.12);
        rgb = mix(rgb, boards, below(at[1] - edge, unit));
        self.rug(rgb, at, unit)
    }

    fn rug(&self, rgb: Rgb, at: Point, unit: f32) -> Rgb {
        const RUGS: [Rgb; 4] = [
            [0.78, 0.66, 0.62],
            [0.58, 0.66, 0.72],
            [0.82, 0.76, 0.62],
            [0.66, 0.70, 0.60],
        ];
        let [x, y] = [(at[0] - 0.5) / 0.44, (at[1] - 0.84) / 0.13];
        let inside = (1.0 - (x * x + y * y).sqrt()) * 0.2;
        let rug = pick(&RUGS, self.palette / 5);
        let ring = below(inside - 0.016, unit) - below(inside - 0.032, unit);
        mix(rgb, lighten(rug, ring * 0.5), below(inside, unit))
    }
}

/// Pavement, kerb, a road with dashes.
fn street(at: Point, horizon: f32, u: f32, depth: f32, patch: f32, unit: f32) -> Rgb {
    let kerb = horizon + 0.13;
    let slab = u * 4.0 + 20.0;
    let seam = ((slab - slab.floor()) * 2.0 - 1.0).abs();
    let pavement = lighten(
        [0.76, 0.73, 0.70],
        -0.12 * ((seam - 0.9) * 10.0).clamp(0.0, 1.0) * (depth * 5.0 - 0.4).clamp(0.0, 1.0)
            + patch * 0.05,
    );
    let road = lighten([0.46, 0.47, 0.50], patch * 0.08 + (1.0 - depth) * 0.08);
    let dash = u * 1.6 + 20.3;
    let dash = ((0.3 - (dash - dash.floor() - 0.5).abs()) * 12.0).clamp(0.0, 1.0);
    let lane = below(at[1] - horizon - 0.30, unit) - below(at[1] - horizon - 0.322, unit);
    let road = mix(road, [0.93, 0.92, 0.86], dash * lane);
    let stone = mix([0.86, 0.84, 0.81], road, below(at[1] - kerb - 0.014, unit));
    mix(pavement, stone, below(at[1] - kerb, unit))
}
