// Which emoji belong to which class. The names are those that the sets share, from the short names of Unicode; concepts that
// could stand for two classes, and scenes, are left out.

const words = (text: string): string[] => text.split(/\s+/);

/** Names of the concepts of each class. */
export const emojiConcepts: Readonly<Record<string, readonly string[]>> = {
  mammal:
    words(`monkey-face gorilla orangutan dog-face dog poodle wolf fox raccoon cat-face cat lion tiger-face
    tiger leopard horse-face horse unicorn zebra deer bison cow-face ox water-buffalo cow pig-face pig
    boar ram ewe goat camel two-hump-camel llama giraffe elephant rhinoceros hippopotamus mouse-face
    mouse rat hamster rabbit-face rabbit chipmunk beaver hedgehog bear koala panda sloth otter skunk
    kangaroo badger monkey`),
  bird: words(`turkey chicken rooster hatching-chick baby-chick front-facing-baby-chick bird penguin dove eagle
    duck swan owl dodo flamingo peacock parrot`),
  'sea-animal':
    words(`spouting-whale whale dolphin seal fish tropical-fish blowfish shark octopus spiral-shell crab
    lobster shrimp squid oyster`),
  bug: words(`snail butterfly bug ant honeybee beetle lady-beetle cricket cockroach spider mosquito fly worm
    scorpion`),
  plant:
    words(`seedling potted-plant evergreen-tree deciduous-tree palm-tree cactus sheaf-of-rice herb shamrock
    four-leaf-clover maple-leaf fallen-leaf leaf-fluttering-in-wind bouquet cherry-blossom rosette rose
    wilted-flower hibiscus sunflower blossom tulip`),
  fruit:
    words(`grapes melon watermelon tangerine lemon banana pineapple mango red-apple green-apple pear peach
    cherries strawberry blueberries kiwi-fruit tomato olive coconut avocado eggplant potato carrot
    ear-of-corn hot-pepper bell-pepper cucumber leafy-green broccoli garlic onion`),
  dish: words(`bread croissant baguette-bread pretzel bagel pancakes waffle cheese-wedge hamburger french-fries
    pizza hot-dog sandwich taco burrito egg cooking bento-box rice-ball cooked-rice curry-rice
    steaming-bowl spaghetti sushi doughnut cookie birthday-cake shortcake cupcake pie soft-ice-cream
    ice-cream chocolate-bar candy lollipop custard`),
  vehicle:
    words(`locomotive railway-car high-speed-train bullet-train train metro light-rail tram monorail tram-car
    bus oncoming-bus trolleybus minibus ambulance fire-engine police-car oncoming-police-car taxi
    oncoming-taxi automobile oncoming-automobile sport-utility-vehicle pickup-truck delivery-truck
    articulated-lorry tractor racing-car motorcycle motor-scooter auto-rickshaw bicycle kick-scooter`),
  building:
    words(`classical-building house-with-garden house office-building japanese-post-office post-office hospital
    bank hotel love-hotel convenience-store school department-store factory japanese-castle castle
    church mosque hindu-temple synagogue derelict-house houses tokyo-tower statue-of-liberty`),
  clothing:
    words(`glasses sunglasses goggles lab-coat safety-vest necktie t-shirt jeans scarf gloves coat socks dress
    kimono sari one-piece-swimsuit briefs shorts bikini womans-clothes purse handbag clutch-bag backpack
    thong-sandal mans-shoe running-shoe hiking-boot flat-shoe high-heeled-shoe womans-sandal
    ballet-shoes womans-boot crown womans-hat top-hat graduation-cap billed-cap`),
};
