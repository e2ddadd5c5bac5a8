//! The openb trace: Alibaba's GPU cluster of 2023 (Weng et al., USENIX ATC'23), nodes and pods as CSV.
//! Columns are found by their header, since the published lists differ in which they have.
use super::Malformed;

/// A machine of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Serial name.
    pub name: String,
    /// Processors in thousandths.
    pub cpu_milli: u64,
    /// Memory in bytes.
    pub memory: u64,
    /// Devices.
    pub gpus: u64,
    /// Their model; empty where there are none.
    pub model: String,
}

/// A pod of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Serial name.
    pub name: String,
    /// Processors in thousandths.
    pub cpu_milli: u64,
    /// Memory in bytes.
    pub memory: u64,
    /// Devices.
    pub gpus: u64,
    /// Thousandths of each device; below 1000 only when there is one.
    pub gpu_milli: u64,
    /// Models that it may run on; empty for any.
    pub models: Vec<String>,
}

impl Pod {
    /// Thousandths of devices in all.
    pub fn gpu_total(&self) -> u64 {
        self.gpus * self.gpu_milli
    }
}

/// Rows whose cells are read by the name of their column.
struct Sheet<'a> {
    reader: csv::Reader<&'a [u8]>,
    header: csv::StringRecord,
}

impl<'a> Sheet<'a> {
    fn open(text: &'a str, needed: &[&str]) -> Result<Sheet<'a>, Malformed> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| Malformed(error.to_string()))?.clone();
        match needed.iter().find(|name| !header.iter().any(|column| column == **name)) {
            Some(name) => Err(Malformed(format!("line 1: there is no column {name}"))),
            None => Ok(Sheet { reader, header }),
        }
    }

    fn rows<T>(mut self, read: impl Fn(&Cells<'_>) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let header = self.header;
        let records = self.reader.records().enumerate();
        let rows = records.map(|(i, record)| {
            let record = record.map_err(|error| Malformed(error.to_string()))?;
            read(&Cells { line: i + 2, header: &header, record: &record })
        });
        rows.collect()
    }
}

struct Cells<'a> {
    line: usize,
    header: &'a csv::StringRecord,
    record: &'a csv::StringRecord,
}

impl Cells<'_> {
    fn text(&self, column: &str) -> &str {
        let at = self.header.iter().position(|name| name == column);
        at.and_then(|at| self.record.get(at)).unwrap_or("").trim()
    }

    fn number(&self, column: &str) -> Result<u64, Malformed> {
        let text = self.text(column);
        text.parse()
            .map_err(|_| Malformed(format!("line {}: {column} is {text:?}, not a whole number", self.line)))
    }

    /// In bytes.
    fn mebibytes(&self, column: &str) -> Result<u64, Malformed> {
        let number = self.number(column)?;
        let bytes = number.checked_mul(1 << 20);
        bytes.ok_or_else(|| {
            Malformed(format!("line {}: {column} is {number}, more than there can be", self.line))
        })
    }
}

/// Reads a node list.
///
/// # Errors
/// Names the line and the column.
pub fn nodes(text: &str) -> Result<Vec<Node>, Malformed> {
    Sheet::open(text, &["sn", "cpu_milli", "memory_mib", "gpu"])?.rows(|cells| {
        Ok(Node {
            name: cells.text("sn").to_owned(),
            cpu_milli: cells.number("cpu_milli")?,
            memory: cells.mebibytes("memory_mib")?,
            gpus: cells.number("gpu")?,
            model: cells.text("model").to_owned(),
        })
    })
}

/// Reads a pod list.
///
/// # Errors
/// Names the line and the column.
pub fn pods(text: &str) -> Result<Vec<Pod>, Malformed> {
    Sheet::open(text, &["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"])?.rows(|cells| {
        let models = cells.text("gpu_spec").split('|').filter(|model| !model.is_empty());
        Ok(Pod {
            name: cells.text("name").to_owned(),
            cpu_milli: cells.number("cpu_milli")?,
            memory: cells.mebibytes("memory_mib")?,
            gpus: cells.number("num_gpu")?,
            gpu_milli: cells.number("gpu_milli")?,
            models: models.map(str::to_owned).collect(),
        })
    })
}
