//! The dependency descriptor (AV1 RTP specification, annex A): reading, and another mask written into its bits.

use std::sync::Arc;

use crate::bits::{BitReader, BitWriter, Malformed};

const MAX_TEMPLATES: usize = 64;
const MAX_SPATIAL_ID: u32 = 3;
const MAX_TEMPORAL_ID: u32 = 7;
/// Descriptors of this length say nothing beyond their template.
pub const MANDATORY_BYTES: usize = 3;
const FLAG_BITS: usize = 5;
const MASK_FLAG_AT: usize = 25;
const HAS_STRUCTURE: u8 = 0x80;
const HAS_MASK: u8 = 0x40;
const HAS_INDICATIONS: u8 = 0x20;
const HAS_FRAME_DIFFS: u8 = 0x10;
const HAS_CHAIN_DIFFS: u8 = 0x08;

/// What a descriptor names instead of saying everything again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Spatial layer.
    pub spatial_id: u32,
    /// Temporal layer.
    pub temporal_id: u32,
    /// By decode target: 0 absent, 1 discardable, 2 switch, 3 required.
    pub indications: Vec<u8>,
    /// How many frame numbers back the referred frames lie.
    pub frame_diffs: Vec<u16>,
    /// By chain: how many frame numbers back the chain's previous frame lies.
    pub chain_diffs: Vec<u8>,
}

/// The template dependency structure of a coded video sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    template_id_offset: u8,
    /// How many there are.
    pub decode_targets: usize,
    templates: Vec<Template>,
    /// How many there are.
    pub chains: usize,
    /// By decode target: its chain. Empty without chains.
    pub protected_by: Vec<u8>,
    /// (width, height) by spatial id; empty if not told.
    pub resolutions: Vec<(u32, u32)>,
    /// By decode target: the greatest (spatial id, temporal id) of frames in it.
    pub target_layers: Vec<(u32, u32)>,
}

impl Structure {
    /// The mask of the decode targets that lie within the given layers.
    pub fn mask_for(&self, max_spatial: u32, max_temporal: u32) -> i64 {
        let mut mask = 0;
        for (target, &(spatial, temporal)) in self.target_layers.iter().enumerate() {
            if spatial <= max_spatial && temporal <= max_temporal {
                mask |= 1 << target;
            }
        }
        mask
    }
}

/// What a packet's descriptor says of its frame, with the template's fields filled in.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// First packet of its frame.
    pub start_of_frame: bool,
    /// Last packet of its frame.
    pub end_of_frame: bool,
    /// 16 bits.
    pub frame_number: u16,
    /// The one attached to this packet.
    pub structure: Option<Arc<Structure>>,
    /// Mask of active decode targets, -1 if the descriptor does not speak of it.
    pub active_targets: i64,
    /// The frame's template, changed where the descriptor says so.
    pub template: Template,
    /// Where, in bits, the mask is or would be inserted; 0 in descriptors of 3 bytes.
    mask_at: usize,
    /// How many bits say something; the rest is padding.
    bits: usize,
}

/// Reads a descriptor; `structure` is the last one of its stream.
pub fn parse(data: &[u8], structure: Option<&Arc<Structure>>) -> Result<Descriptor, Malformed> {
    if data.len() < MANDATORY_BYTES {
        return Err(Malformed);
    }
    if data.len() > MANDATORY_BYTES {
        return parse_extended(data, structure);
    }
    let template = find_template(data, structure.ok_or(Malformed)?)?;
    Ok(describe(data, None, -1, template, 0, 8 * MANDATORY_BYTES))
}

fn find_template(data: &[u8], structure: &Structure) -> Result<Template, Malformed> {
    let index = (data[0] & 0x3F).wrapping_sub(structure.template_id_offset) & 0x3F;
    structure.templates.get(usize::from(index)).cloned().ok_or(Malformed)
}

fn describe(
    data: &[u8],
    structure: Option<Arc<Structure>>,
    active_targets: i64,
    template: Template,
    mask_at: usize,
    bits: usize,
) -> Descriptor {
    Descriptor {
        start_of_frame: data[0] & 0x80 != 0,
        end_of_frame: data[0] & 0x40 != 0,
        frame_number: u16::from_be_bytes([data[1], data[2]]),
        structure,
        active_targets,
        template,
        mask_at,
        bits,
    }
}

fn parse_extended(data: &[u8], structure: Option<&Arc<Structure>>) -> Result<Descriptor, Malformed> {
    let mut reader = BitReader::new(data);
    reader.skip(8 * MANDATORY_BYTES + FLAG_BITS)?;
    let flags = data[MANDATORY_BYTES];
    let (mut attached, mut active_targets) = (None, -1);
    if flags & HAS_STRUCTURE != 0 {
        let read = Arc::new(read_structure(&mut reader)?);
        active_targets = (1 << read.decode_targets) - 1;
        attached = Some(read);
    }
    let structure = attached.as_ref().or(structure).ok_or(Malformed)?;
    let mut template = find_template(data, structure)?;
    let mask_at = reader.position;
    if flags & HAS_MASK != 0 {
        active_targets = reader.read(structure.decode_targets)? as i64;
    }
    if flags & HAS_INDICATIONS != 0 {
        template.indications = read_all(&mut reader, structure.decode_targets, 2)?;
    }
    if flags & HAS_FRAME_DIFFS != 0 {
        template.frame_diffs = read_frame_diffs(&mut reader)?;
    }
    if flags & HAS_CHAIN_DIFFS != 0 {
        template.chain_diffs = read_all(&mut reader, structure.chains, 8)?;
    }
    Ok(describe(data, attached, active_targets, template, mask_at, reader.position))
}

fn read_all(reader: &mut BitReader, count: usize, bits: usize) -> Result<Vec<u8>, Malformed> {
    (0..count).map(|_| Ok(reader.read(bits)? as u8)).collect()
}

fn read_frame_diffs(reader: &mut BitReader) -> Result<Vec<u16>, Malformed> {
    let mut diffs = Vec::new();
    loop {
        let size = reader.read(2)? as usize;
        if size == 0 {
            return Ok(diffs);
        }
        diffs.push(reader.read(4 * size)? as u16 + 1);
    }
}

fn read_structure(reader: &mut BitReader) -> Result<Structure, Malformed> {
    let template_id_offset = reader.read(6)? as u8;
    let targets = reader.read(5)? as usize + 1;
    let layers = read_layers(reader)?;
    let mut templates = Vec::with_capacity(layers.len());
    for &(spatial_id, temporal_id) in &layers {
        let indications = read_all(reader, targets, 2)?;
        templates.push(Template { spatial_id, temporal_id, indications, frame_diffs: vec![], chain_diffs: vec![] });
    }
    for template in &mut templates {
        while reader.flag()? {
            template.frame_diffs.push(reader.read(4)? as u16 + 1);
        }
    }
    let chains = reader.non_symmetric(targets as u64 + 1)? as usize;
    let mut protected_by = Vec::new();
    if chains > 0 {
        for _ in 0..targets {
            protected_by.push(reader.non_symmetric(chains as u64)? as u8);
        }
        for template in &mut templates {
            template.chain_diffs = read_all(reader, chains, 4)?;
        }
    }
    let mut resolutions = Vec::new();
    if reader.flag()? {
        for _ in 0..=layers.last().map_or(0, |last| last.0) {
            resolutions.push((reader.read(16)? as u32 + 1, reader.read(16)? as u32 + 1));
        }
    }
    let target_layers = (0..targets).map(|target| layer_of(&templates, target)).collect();
    Ok(Structure {
        template_id_offset,
        decode_targets: targets,
        templates,
        chains,
        protected_by,
        resolutions,
        target_layers,
    })
}

fn layer_of(templates: &[Template], target: usize) -> (u32, u32) {
    let inside = || templates.iter().filter(|template| template.indications[target] != 0);
    let spatial = inside().map(|template| template.spatial_id).max().unwrap_or(0);
    (spatial, inside().map(|template| template.temporal_id).max().unwrap_or(0))
}

/// (spatial id, temporal id) by template.
fn read_layers(reader: &mut BitReader) -> Result<Vec<(u32, u32)>, Malformed> {
    let (mut spatial, mut temporal) = (0, 0);
    let mut layers = vec![(0, 0)];
    loop {
        match reader.read(2)? {
            1 => temporal += 1,
            2 => (spatial, temporal) = (spatial + 1, 0),
            3 => return Ok(layers),
            _ => {}
        }
        layers.push((spatial, temporal));
        if spatial > MAX_SPATIAL_ID || temporal > MAX_TEMPORAL_ID || layers.len() > MAX_TEMPLATES {
            return Err(Malformed);
        }
    }
}

/// `data`, which was parsed to `descriptor`, with another mask of active decode targets; `targets` is the mask's width.
pub fn rewrite(
    data: &[u8],
    descriptor: &Descriptor,
    active_targets: i64,
    targets: usize,
) -> Result<Vec<u8>, Malformed> {
    let mask = active_targets as u64 & ((1 << targets) - 1);
    let mut out = BitWriter::default();
    if data.len() == MANDATORY_BYTES {
        out.copy(data, 0, 8 * MANDATORY_BYTES)?;
        out.write(0b01000, FLAG_BITS);
        out.write(mask, targets);
        return Ok(out.into_bytes());
    }
    let has_mask = data[MANDATORY_BYTES] & HAS_MASK != 0;
    out.copy(data, 0, MASK_FLAG_AT)?;
    out.write(1, 1);
    out.copy(data, MASK_FLAG_AT + 1, descriptor.mask_at)?;
    out.write(mask, targets);
    out.copy(data, descriptor.mask_at + if has_mask { targets } else { 0 }, descriptor.bits)?;
    Ok(out.into_bytes())
}
