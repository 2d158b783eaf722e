// One card pressed: tell what and where. Afterwards the keyboard stays where it was, though the cards are new ones.
let at = -1;
element.addEventListener('click', (event) => {
  const card = event.target.closest('[data-do]');
  if (!card) return;
  const cards = [...element.querySelectorAll('[data-do]')];
  at = document.activeElement === card ? cards.indexOf(card) : -1;
  trigger('press', { act: card.dataset.do, item: card.dataset.item });
});
watch('value', () => {
  const cards = [...element.querySelectorAll('[data-do]')];
  if (at >= 0 && cards.length) cards[Math.min(at, cards.length - 1)].focus();
  at = -1;
});
