//! Things by slot number: a slot is never used twice, the place behind it is.

use std::collections::HashMap;

use crate::spec::Misuse;

/// Items in places, found by slot from outside and by index inside.
pub struct Table<T> {
    noun: &'static str,
    items: Vec<Option<T>>,
    free: Vec<usize>,
    indices: HashMap<i64, usize>,
}

impl<T> Table<T> {
    /// An empty one; `noun` is for errors.
    pub fn new(noun: &'static str) -> Self {
        Table { noun, items: Vec::new(), free: Vec::new(), indices: HashMap::new() }
    }

    /// The index where the item lies from now on.
    pub fn insert(&mut self, slot: i64, item: T) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.items.push(None);
            self.items.len() - 1
        });
        self.items[index] = Some(item);
        self.indices.insert(slot, index);
        index
    }

    /// Takes the item out.
    pub fn remove(&mut self, slot: i64) -> Option<T> {
        let index = self.indices.remove(&slot)?;
        self.free.push(index);
        self.items[index].take()
    }

    /// Where a slot lies.
    pub fn index(&self, slot: i64) -> Result<usize, Misuse> {
        self.indices.get(&slot).copied().ok_or_else(|| Misuse(format!("{slot} is no {}", self.noun)))
    }

    /// By index.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.items.get(index)?.as_ref()
    }

    /// By index.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.items.get_mut(index)?.as_mut()
    }

    /// By slot.
    pub fn find(&self, slot: i64) -> Result<&T, Misuse> {
        let index = self.index(slot)?;
        self.get(index).ok_or_else(|| Misuse(format!("{slot} is no {}", self.noun)))
    }

    /// By slot.
    pub fn find_mut(&mut self, slot: i64) -> Result<&mut T, Misuse> {
        let index = self.index(slot)?;
        let noun = self.noun;
        self.get_mut(index).ok_or_else(|| Misuse(format!("{slot} is no {noun}")))
    }
}
