//! One way to a plugin for each role: loaded if it can be, in the home that it is trusted with, else linked in.
use crate::{
    Loader, Reject, Seated,
    beside::{ChildAnalyzer, ChildSharing, InlineAnalyzer, InlineSharing},
    child::{ChildAllocator, ChildQos},
    choice::Pick,
    discipline::disciplined,
    frame::Question,
    inline::{InlineAllocator, InlineQos},
    loader::Seen,
};
use bursar_interface::{Allocator, Analyzer, Driver, Home, Metric, Qos, ResourceSpec, Role, Sharing};
use bursar_sdk::{Config, Entry};

/// Why an older library has not got a plugin that its manifest tells of.
const TOO_OLD: &str = "the library is from before there was this role; build it again";

impl Loader {
    /// An allocator by name, loaded if it can be, else linked in. `config` is JSON, or nothing.
    ///
    /// # Errors
    /// [`Reject::Unknown`] with the names that there are; [`Reject::Make`] when it refuses its config.
    pub fn allocator(&mut self, id: &str, config: &str) -> Result<Seated<dyn Allocator>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<dyn Allocator>, Reject> {
            Ok(match pick.home {
                Home::Child => {
                    let mut child = loader.child(pick, config, Seen::Strategy)?;
                    if let Some(scene) = &loader.scene {
                        child.warm(&**scene, |layout| Question::Place(layout, Vec::new(), 0))?;
                    }
                    Box::new(ChildAllocator(child))
                }
                _ => {
                    let plugin = loader.root(pick)?.allocator()(pick.id.as_str().into(), config.into());
                    let plugin = plugin.into_result().map_err(|fault| pick.unmade(&fault.message))?;
                    Box::new(InlineAllocator { plugin, watched: loader.watched(pick), takes: Vec::new() })
                }
            })
        };
        self.seat(Role::Allocator, id, config, seat, Entry::allocator)
    }

    /// A qos by name; see [`Loader::allocator`].
    ///
    /// # Errors
    /// As there.
    pub fn qos(&mut self, id: &str, config: &str) -> Result<Seated<dyn Qos>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<dyn Qos>, Reject> {
            Ok(match pick.home {
                Home::Child => {
                    let mut child = loader.child(pick, config, Seen::Strategy)?;
                    let discipline = child.discipline().map_err(|why| pick.unmade(&why))?;
                    if let Some(scene) = &loader.scene {
                        child.warm(&**scene, |layout| Question::Rank(layout, Vec::new()))?;
                    }
                    Box::new(ChildQos(child, discipline))
                }
                _ => {
                    let plugin = loader.root(pick)?.qos()(pick.id.as_str().into(), config.into());
                    let plugin = plugin.into_result().map_err(|fault| pick.unmade(&fault.message))?;
                    let told =
                        plugin.discipline().into_result().map_err(|fault| pick.unmade(&fault.message))?;
                    let discipline = disciplined(told).map_err(|why| pick.unmade(&why))?;
                    Box::new(InlineQos { plugin, watched: loader.watched(pick), discipline })
                }
            })
        };
        self.seat(Role::Qos, id, config, seat, Entry::qos)
    }

    /// A sharing by name; see [`Loader::allocator`].
    ///
    /// # Errors
    /// As there.
    pub fn sharing(&mut self, id: &str, config: &str) -> Result<Seated<dyn Sharing>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<dyn Sharing>, Reject> {
            Ok(match pick.home {
                Home::Child => Box::new(ChildSharing(loader.child(pick, config, Seen::Strategy)?)),
                _ => {
                    let make = loader.root(pick)?.sharing().ok_or_else(|| pick.unmade(&TOO_OLD))?;
                    let plugin = make(pick.id.as_str().into(), config.into()).into_result();
                    let plugin = plugin.map_err(|fault| pick.unmade(&fault.message))?;
                    Box::new(InlineSharing { plugin, watched: loader.watched(pick) })
                }
            })
        };
        self.seat(Role::Sharing, id, config, seat, Entry::sharing)
    }

    /// An analyzer by name; see [`Loader::allocator`].
    ///
    /// # Errors
    /// As there.
    pub fn analyzer(&mut self, id: &str, config: &str) -> Result<Seated<dyn Analyzer>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<dyn Analyzer>, Reject> {
            Ok(match pick.home {
                Home::Child => Box::new(ChildAnalyzer(loader.child(pick, config, Seen::Tables)?)),
                _ => {
                    let make = loader.root(pick)?.analyzer().ok_or_else(|| pick.unmade(&TOO_OLD))?;
                    let plugin = make(pick.id.as_str().into(), config.into()).into_result();
                    let plugin = plugin.map_err(|fault| pick.unmade(&fault.message))?;
                    Box::new(InlineAnalyzer { plugin, health: loader.fresh_health(pick) })
                }
            })
        };
        self.seat(Role::Analyzer, id, config, seat, Entry::analyzer)
    }

    /// A driver by name; see [`Loader::allocator`].
    ///
    /// # Errors
    /// As there.
    pub fn driver(&mut self, id: &str, config: &str) -> Result<Seated<dyn Driver>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<dyn Driver>, Reject> {
            Ok(Box::new(loader.called(pick, config)?))
        };
        self.seat(Role::Driver, id, config, seat, Entry::driver)
    }

    /// A metric by name; see [`Loader::allocator`].
    ///
    /// # Errors
    /// As there.
    pub fn metric(&mut self, id: &str, config: &str) -> Result<Seated<dyn Metric>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<dyn Metric>, Reject> {
            Ok(Box::new(loader.called(pick, config)?))
        };
        self.seat(Role::Metric, id, config, seat, Entry::metric)
    }

    /// What a kind of thing is; see [`Loader::allocator`]. It is asked once and let go.
    ///
    /// # Errors
    /// As there.
    pub fn resource(&mut self, id: &str, config: &str) -> Result<Seated<ResourceSpec>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<ResourceSpec>, Reject> {
            let spec = loader.called(pick, config)?.spec();
            spec.map(Box::new).map_err(|fault| pick.unmade(&fault.message))
        };
        let link = |entry: &Entry, config: &Config| entry.spec(config).map(|spec| spec.map(Box::new));
        self.seat(Role::Resource, id, config, seat, link)
    }
}
