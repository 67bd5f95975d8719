//! Calls of both revisions.

macro_rules! side {
    ($side:ident) => {
        pub(crate) mod $side {
            use std::hint::black_box;

            use $side::{Aggregator, Config, Handle, RecordContext, Ring, Rules, Tick, Timestamp, Unlisted};

            use crate::data::{Feed, Row};
            use crate::pairs::clock;

            const ID: &str = "XBTUSD";
            const SPAN: usize = 4096;

            fn tick(row: &Row) -> Tick {
                let time = Timestamp::from_micros(row.micros).expect("a time of this century");
                Tick::new(time, row.price).with_size(row.size).with_seq(row.seq)
            }

            fn now<K>(ticks: &[(K, Tick)]) -> Timestamp {
                ticks.last().map_or(Timestamp::EPOCH, |(_, tick)| tick.time)
            }

            fn listed(ids: &[String]) -> (Aggregator, Vec<Handle>) {
                let aggregator = Aggregator::new(Config::default().with_seed(1).with_max_instruments(ids.len()));
                let handles = ids.iter().map(|id| aggregator.list(id, None).expect("the id is valid")).collect();
                (aggregator, handles)
            }

            pub(crate) fn rows(rows: &[Row]) -> Vec<(&'static str, Tick)> {
                rows.iter().map(|row| (ID, tick(row))).collect()
            }

            #[inline(never)]
            pub(crate) fn ring(ticks: &[(&str, Tick)]) {
                let mut ring = Ring::default();
                for (_, tick) in ticks {
                    let _ = ring.record(tick, &Rules::default().at(tick.time));
                }
                black_box(ring);
            }

            #[inline(never)]
            pub(crate) fn by_id(ticks: &[(&str, Tick)]) -> f64 {
                let (aggregator, _) = listed(&[ID.to_owned()]);
                clock(ticks.len(), || {
                    for (id, tick) in ticks {
                        let _ = aggregator.record(id, tick, tick.time);
                    }
                })
            }

            #[inline(never)]
            pub(crate) fn by_handle(ticks: &[(&str, Tick)]) -> f64 {
                let (aggregator, handles) = listed(&[ID.to_owned()]);
                clock(ticks.len(), || {
                    for (_, tick) in ticks {
                        let _ = aggregator.record_at(handles[0], tick, tick.time);
                    }
                })
            }

            /// Batches are cut where the minute changes.
            #[inline(never)]
            pub(crate) fn by_batch(ticks: &[(&str, Tick)], len: usize) -> f64 {
                let (aggregator, _) = listed(&[ID.to_owned()]);
                let minute = |(_, tick): &(&str, Tick)| tick.time.as_micros().div_euclid(60_000_000);
                clock(ticks.len(), || {
                    let minutes = ticks.chunk_by(|a, b| minute(a) == minute(b));
                    for batch in minutes.flat_map(|ticks| ticks.chunks(len)) {
                        black_box(aggregator.record_batch(batch, now(batch)));
                    }
                })
            }

            /// The first ticks of instruments that are not listed.
            #[inline(never)]
            pub(crate) fn first_ticks(ids: &[String], len: usize) -> f64 {
                let config = Config::default().with_seed(1).with_max_instruments(ids.len());
                let aggregator = Aggregator::new(config);
                let context = RecordContext { unlisted: Unlisted::List, ..Timestamp::EPOCH.into() };
                let ticks: Vec<_> = ids.iter().map(|id| (id.as_str(), Tick::new(Timestamp::EPOCH, 1.0))).collect();
                clock(ticks.len(), || {
                    for batch in ticks.chunks(len) {
                        black_box(aggregator.record_batch(batch, context));
                    }
                })
            }

            /// An aggregator for ticks by id, and one for ticks by handle.
            pub(crate) struct Store {
                by_id: Aggregator,
                by_handle: (Aggregator, Vec<Handle>),
            }

            pub(crate) struct Ticks {
                by_id: Vec<(&'static str, Tick)>,
                by_handle: Vec<(Handle, Tick)>,
            }

            impl Ticks {
                pub(crate) fn new(store: &Store, feed: &Feed) -> Self {
                    let handles = &store.by_handle.1;
                    Self {
                        by_id: feed.by_id().map(|(id, row)| (id, tick(row))).collect(),
                        by_handle: feed.rows.iter().map(|row| (handles[row.instrument], tick(row))).collect(),
                    }
                }
            }

            impl Store {
                pub(crate) fn new(ids: &[String]) -> Self {
                    Self { by_id: listed(ids).0, by_handle: listed(ids) }
                }

                #[inline(never)]
                pub(crate) fn record(&self, ticks: &Ticks) {
                    for span in ticks.by_id.chunks(SPAN) {
                        let now = now(span);
                        for (id, tick) in span {
                            let _ = self.by_id.record(id, tick, now);
                        }
                    }
                }

                #[inline(never)]
                pub(crate) fn record_at(&self, ticks: &Ticks) {
                    for span in ticks.by_handle.chunks(SPAN) {
                        let now = now(span);
                        for (handle, tick) in span {
                            let _ = self.by_handle.0.record_at(*handle, tick, now);
                        }
                    }
                }

                #[inline(never)]
                pub(crate) fn record_batches(&self, ticks: &Ticks, len: usize) {
                    for batch in ticks.by_id.chunks(len) {
                        black_box(self.by_id.record_batch(batch, now(batch)));
                    }
                }

                #[inline(never)]
                pub(crate) fn record_batches_at(&self, ticks: &Ticks, len: usize) {
                    for batch in ticks.by_handle.chunks(len) {
                        black_box(self.by_handle.0.record_batch_at(batch, now(batch)));
                    }
                }
            }
        }
    };
}

side!(before);
side!(after);
