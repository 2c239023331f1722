//! Draws by weight in constant time: Vose's alias method. Each column has two owners, and a second throw decides.

/// Places by weight, all above 0.
pub struct Weighted {
    count: usize,
    /// Empty where all weights are equal.
    columns: Box<[Column]>,
}

struct Column {
    /// Below this the column's own place is drawn, else the other.
    own: u32,
    other: u32,
}

impl Weighted {
    /// Lays out the columns.
    pub fn new(weights: &[u32]) -> Self {
        let count = weights.len();
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        Self { count, columns: if equal { Box::default() } else { columns(weights) } }
    }

    /// A place. There has to be one.
    #[inline]
    pub fn draw(&self) -> usize {
        if self.columns.is_empty() {
            return fastrand::usize(..self.count);
        }
        let place = fastrand::usize(..self.count);
        let column = &self.columns[place];
        if fastrand::u32(..) <= column.own { place } else { column.other as usize }
    }
}

/// Whoever is below the mean is filled up by one that is above it.
fn columns(weights: &[u32]) -> Box<[Column]> {
    let mean = weights.iter().map(|weight| f64::from(*weight)).sum::<f64>() / weights.len() as f64;
    let mut fill: Vec<f64> = weights.iter().map(|weight| f64::from(*weight) / mean).collect();
    let mut columns: Box<[Column]> = (0..weights.len()).map(|place| Column { own: u32::MAX, other: place as u32 }).collect();
    let (mut below, mut above): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|place| fill[*place] < 1.0);
    while let (Some(poor), Some(rich)) = (below.pop(), above.pop()) {
        columns[poor] = Column { own: (fill[poor] * f64::from(u32::MAX)) as u32, other: rich as u32 };
        fill[rich] -= 1.0 - fill[poor];
        if fill[rich] < 1.0 { below.push(rich) } else { above.push(rich) }
    }
    columns
}
