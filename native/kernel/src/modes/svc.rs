//! Streams with layers inside one SSRC (`sansio/kernel/svc.py`): which packets a leg forwards (VP9, AV1).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::codecs::descriptor::{self, Structure};
use crate::codecs::vp8::Prefix;
use crate::codecs::vp9::Vp9Descriptor;
use crate::leg::{LegState, Out, Passed};
use crate::notice::NoticeKind;
use crate::packet::{Body, Info, Layered, Packet};

const MAX_DECISIONS: usize = 256;
const REMINDER: f64 = 0.5;
const MAX_DESCRIPTOR_BYTES: usize = 255;

/// The layered side of one leg.
pub struct Svc {
    /// Last forwarded.
    pub layers: (i64, i64),
    descriptors: DescriptorSelector,
    vp9: Vp9Selector,
    reminded: f64,
    /// Whether decoders were told of fewer targets than the sender produces.
    is_narrowed: bool,
}

impl Default for Svc {
    fn default() -> Self {
        Svc {
            layers: (-1, -1),
            descriptors: DescriptorSelector::default(),
            vp9: Vp9Selector::default(),
            reminded: f64::NEG_INFINITY,
            is_narrowed: false,
        }
    }
}

impl Svc {
    /// One packet.
    pub fn forward<P>(&mut self, leg: &mut LegState, out: &mut Out<P>, now: f64, packet: &Arc<Packet>) {
        let first = leg.first_for(packet);
        let wanted = first != 0 && packet.position >= leg.base && self.wants(leg, now, packet);
        if !packet.is_empty() && !wanted {
            leg.dropped += 1;
        }
        let Some(placed) = leg.place(now, packet.position, packet.timestamp, wanted) else {
            return;
        };
        if !wanted {
            leg.fill(out, now, placed);
            return;
        }
        let mut marker = packet.marker;
        let mut passed = Passed::of(packet);
        let narrowed;
        match &packet.info {
            Info::Layered(info) => {
                let spatial = i64::from(info.descriptor.template.spatial_id);
                if info.descriptor.end_of_frame && spatial == self.descriptors.layers.0 {
                    marker = 0x80;
                }
                narrowed = self.narrow(&passed, info);
                if narrowed.is_some() {
                    passed.descriptor = narrowed.as_deref();
                }
            }
            Info::Vp9(info) if info.end_of_frame && info.sid == self.vp9.ceiling => marker = 0x80,
            _ => {}
        }
        let body = Body::payload_from(packet, 0);
        leg.send(out, now, placed.0, placed.1, first | marker, Prefix::default(), body, Some(passed));
    }

    /// Another source.
    pub fn handle_switch(&mut self) {
        self.descriptors = DescriptorSelector::default();
        self.vp9 = Vp9Selector::default();
        self.reminded = f64::NEG_INFINITY;
    }

    fn wants(&mut self, leg: &mut LegState, now: f64, packet: &Packet) -> bool {
        let (max_spatial, max_temporal) = (leg.spec.max_spatial, leg.spec.max_temporal);
        let (wanted, needs_key_frame, layers) = match &packet.info {
            Info::Layered(info) => {
                let wanted = self.descriptors.wants(info, max_spatial, max_temporal);
                (wanted, self.descriptors.needs_key_frame, self.descriptors.layers)
            }
            Info::Vp9(info) => {
                let in_order = packet.position > leg.highest;
                let wanted = self.vp9.wants(info, packet.timestamp, in_order, max_spatial, max_temporal);
                (wanted, self.vp9.needs_key_frame, self.vp9.layers)
            }
            Info::Unreadable => return false,
            _ => return true,
        };
        if needs_key_frame && now - self.reminded >= REMINDER {
            self.reminded = now;
            leg.notices.push(leg.notice(NoticeKind::LegNeedsKeyFrame));
        }
        if wanted && layers != self.layers {
            self.layers = layers;
            let mut notice = leg.notice(NoticeKind::MarkedSwitch);
            (notice.spatial, notice.temporal) = layers;
            leg.notices.push(notice);
        }
        wanted
    }

    /// The descriptor with the mask of what this leg forwards, on packets that bring no structure of their own. It is left
    /// as it is while the sender's own mask says the same.
    fn narrow(&mut self, passed: &Passed, info: &Layered) -> Option<Vec<u8>> {
        let raw = passed.descriptor?;
        if info.descriptor.structure.is_some() {
            self.is_narrowed = false;
            return None;
        }
        let mask = self.descriptors.mask;
        if mask == info.active_targets && !self.is_narrowed {
            return None;
        }
        self.is_narrowed = true;
        let targets = info.structure.decode_targets;
        let rewritten = descriptor::rewrite(raw, &info.descriptor, mask, targets).ok()?;
        (rewritten.len() <= MAX_DESCRIPTOR_BYTES).then_some(rewritten)
    }
}

/// Decides by dependency descriptors, for one leg and one source.
struct DescriptorSelector {
    decisions: HashMap<i64, bool>,
    /// Their frames, oldest first.
    decided: VecDeque<i64>,
    /// Frames not seen yet, to the chains that break without them, oldest first.
    expected: VecDeque<(i64, Vec<usize>)>,
    /// By chain.
    broken: Vec<bool>,
    structure: Option<Arc<Structure>>,
    needs_key_frame: bool,
    layers: (i64, i64),
    /// Decode targets that remain whole on this leg.
    mask: i64,
}

impl Default for DescriptorSelector {
    fn default() -> Self {
        DescriptorSelector {
            decisions: HashMap::new(),
            decided: VecDeque::new(),
            expected: VecDeque::new(),
            broken: Vec::new(),
            structure: None,
            needs_key_frame: false,
            layers: (-1, -1),
            mask: 0,
        }
    }
}

impl DescriptorSelector {
    /// Whether the frame of this packet is forwarded; the same answer for all its packets.
    fn wants(&mut self, info: &Layered, max_spatial: i64, max_temporal: i64) -> bool {
        if !self.structure.as_ref().is_some_and(|one| Arc::ptr_eq(one, &info.structure)) {
            if info.frame != info.key_frame {
                self.needs_key_frame = true;
                return false;
            }
            self.begin(&info.structure);
        }
        if let Some(&known) = self.decisions.get(&info.frame) {
            return known;
        }
        self.follow_chains(info);
        let decided = self.decide(info, max_spatial, max_temporal);
        self.remember(info.frame, decided);
        decided
    }

    /// A key frame with a structure: whatever came before is of no more account.
    fn begin(&mut self, structure: &Arc<Structure>) {
        self.structure = Some(structure.clone());
        self.decisions.clear();
        self.decided.clear();
        self.expected.clear();
        self.broken = vec![false; structure.chains];
    }

    fn follow_chains(&mut self, info: &Layered) {
        for (chain, &difference) in info.descriptor.template.chain_diffs.iter().enumerate().take(self.broken.len()) {
            if difference == 0 {
                self.broken[chain] = false;
            } else if !self.broken[chain] {
                let before = info.frame - i64::from(difference);
                match self.decisions.get(&before) {
                    None => match self.expected.iter_mut().find(|(frame, _)| *frame == before) {
                        Some((_, chains)) => chains.push(chain),
                        None => self.expected.push_back((before, vec![chain])),
                    },
                    Some(false) => self.broken[chain] = true,
                    Some(true) => {}
                }
            }
        }
    }

    fn decide(&mut self, info: &Layered, max_spatial: i64, max_temporal: i64) -> bool {
        let structure = &info.structure;
        let (whole, wanted) = self.pick(info, max_spatial, max_temporal);
        let (Some(target), Some(best)) = (whole, wanted) else {
            self.needs_key_frame = true;
            return false;
        };
        let layers = structure.target_layers[target];
        self.layers = (i64::from(layers.0), i64::from(layers.1));
        self.needs_key_frame = structure.target_layers[best].0 > layers.0;
        self.mask = structure.mask_for(layers.0, layers.1) & info.active_targets;
        let template = &info.descriptor.template;
        if template.indications.get(target).is_none_or(|one| *one == 0) {
            return false;
        }
        let dropped = |back: &u16| self.decisions.get(&(info.frame - i64::from(*back))) == Some(&false);
        !template.frame_diffs.iter().any(dropped)
    }

    /// The highest target that can be had, and the highest that is wanted.
    fn pick(&self, info: &Layered, max_spatial: i64, max_temporal: i64) -> (Option<usize>, Option<usize>) {
        let (mut whole, mut wanted) = (None, None);
        let layers = &info.structure.target_layers;
        for (target, &(spatial, temporal)) in layers.iter().enumerate() {
            let is_wanted = i64::from(spatial) <= max_spatial
                && i64::from(temporal) <= max_temporal
                && info.active_targets >> target & 1 == 1;
            if !is_wanted {
                continue;
            }
            // Of equals the first.
            if wanted.is_none_or(|best: usize| layers[best] < (spatial, temporal)) {
                wanted = Some(target);
            }
            if self.is_whole(&info.structure, target)
                && whole.is_none_or(|best: usize| layers[best] < (spatial, temporal))
            {
                whole = Some(target);
            }
        }
        (whole, wanted)
    }

    fn is_whole(&self, structure: &Structure, target: usize) -> bool {
        structure.chains == 0 || !self.broken[usize::from(structure.protected_by[target])]
    }

    fn remember(&mut self, frame: i64, decided: bool) {
        self.decisions.insert(frame, decided);
        self.decided.push_back(frame);
        if let Some(at) = self.expected.iter().position(|(one, _)| *one == frame) {
            let chains = self.expected.remove(at).map(|(_, chains)| chains).unwrap_or_default();
            if !decided {
                chains.into_iter().for_each(|chain| self.broken[chain] = true);
            }
        }
        while self.decided.len() > MAX_DECISIONS {
            if let Some(oldest) = self.decided.pop_front() {
                self.decisions.remove(&oldest);
            }
        }
        while self.expected.len() > MAX_DECISIONS {
            self.expected.pop_front();
        }
    }
}

/// Decides by VP9 payload descriptors, for one leg and one source.
struct Vp9Selector {
    started: bool,
    /// Timestamp of the newest picture.
    picture: i64,
    temporal_ceiling: i64,
    /// Spatial layer forwarded of the newest picture.
    top: i64,
    /// The highest spatial layer that passes.
    ceiling: i64,
    needs_key_frame: bool,
    /// Highest spatial layer of the last whole picture, highest temporal layer forwarded.
    layers: (i64, i64),
}

impl Default for Vp9Selector {
    fn default() -> Self {
        Vp9Selector {
            started: false,
            picture: -1,
            temporal_ceiling: -1,
            top: 0,
            ceiling: -1,
            needs_key_frame: false,
            layers: (-1, -1),
        }
    }
}

impl Vp9Selector {
    /// Whether a packet is forwarded. Only packets in order move the ceilings.
    fn wants(
        &mut self,
        found: &Vp9Descriptor,
        timestamp: i64,
        in_order: bool,
        max_spatial: i64,
        max_temporal: i64,
    ) -> bool {
        let (spatial, temporal) = (found.sid.max(0), found.tid.max(0));
        if in_order && !self.advance(found, timestamp, max_spatial, max_temporal) {
            return false;
        }
        if !self.started || spatial > self.ceiling || temporal > self.temporal_ceiling {
            return false;
        }
        if in_order {
            self.top = self.top.max(spatial);
            if self.layers.1 >= 0 && temporal > self.layers.1 {
                self.layers.1 = temporal;
            }
        }
        true
    }

    /// Follow the stream by one packet; false while there is nothing to start from.
    fn advance(&mut self, found: &Vp9Descriptor, timestamp: i64, max_spatial: i64, max_temporal: i64) -> bool {
        if found.is_key_frame && timestamp != self.picture {
            // All layers of a key picture build on this frame.
            self.started = true;
            self.needs_key_frame = false;
            (self.ceiling, self.temporal_ceiling) = (max_spatial, max_temporal);
        }
        if !self.started {
            self.needs_key_frame = true;
            return false;
        }
        if timestamp != self.picture {
            self.begin_picture(timestamp, max_spatial, max_temporal);
        }
        if found.begin_of_frame {
            self.rise(found, max_spatial, max_temporal);
        }
        true
    }

    fn begin_picture(&mut self, timestamp: i64, max_spatial: i64, max_temporal: i64) {
        if self.picture >= 0 {
            self.layers = (self.top, self.layers.1.max(0).min(max_temporal));
        }
        self.picture = timestamp;
        self.top = 0;
        self.needs_key_frame = false;
        self.ceiling = self.ceiling.min(max_spatial);
        self.temporal_ceiling = self.temporal_ceiling.min(max_temporal);
    }

    fn rise(&mut self, found: &Vp9Descriptor, max_spatial: i64, max_temporal: i64) {
        if self.temporal_ceiling < found.tid && found.tid <= max_temporal && found.switching_up {
            self.temporal_ceiling = found.tid;
        }
        if self.ceiling < found.sid && found.sid <= max_spatial {
            if found.is_inter_picture {
                self.needs_key_frame = true;
            } else {
                self.ceiling = found.sid;
                self.needs_key_frame = false;
            }
        }
    }
}
