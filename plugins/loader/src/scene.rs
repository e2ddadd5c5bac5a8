//! What a strategy is warmed up on before it decides: the books as somebody beside the deciding ones has them.
use bursar_interface::View;

/// Copies of the books that follow the deciding ones.
pub trait Scene: Send + Sync {
    /// Shows the copy as it is now. Whoever answers may wait meanwhile, so what is done with it is short.
    fn look(&self, see: &mut dyn FnMut(&View<'_>));

    /// An epoch of the deciding books, all changes up to which can be seen by [`Scene::look`] from here on; `None`
    /// where that cannot be said.
    fn caught_up(&self) -> Option<u64>;
}
