//! Transactions signed ahead, and the requests that carry them: the run itself only sends bytes.

use yilian_spec::base::id::TransactionId;

/// Signed transactions, all with the same number of operations.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Operations in each.
    pub operations: usize,
    ids: Vec<TransactionId>,
    /// Canonical bytes in hexadecimal, as the API takes many of them.
    texts: Vec<String>,
}

impl Signed {
    /// None yet.
    pub fn new(operations: usize) -> Self {
        Self { operations, ids: Vec::new(), texts: Vec::new() }
    }

    /// Adds one by its id and canonical bytes.
    pub fn push(&mut self, id: TransactionId, bytes: &[u8]) {
        self.ids.push(id);
        self.texts.push(hex::encode(bytes));
    }

    /// Adds others behind these.
    pub fn append(&mut self, mut others: Self) {
        self.ids.append(&mut others.ids);
        self.texts.append(&mut others.texts);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The id of one.
    pub fn id(&self, index: usize) -> TransactionId {
        self.ids[index]
    }

    /// The body of a request that carries some of them, by their positions.
    pub fn request(&self, range: std::ops::Range<usize>) -> Vec<u8> {
        let quoted: Vec<String> = self.texts[range].iter().map(|text| format!("\"{text}\"")).collect();
        format!("{{\"transactions\":[{}]}}", quoted.join(",")).into_bytes()
    }
}
