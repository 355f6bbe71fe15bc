/* vehicles.h: bodies of cars, trucks and buses, built from a seed: several styles each, sizes,
 * paints and details vary.
 */
#ifndef DEMO_VEHICLES_H
#define DEMO_VEHICLES_H

#include <stdint.h>

#include "base/rng.h"
#include "mesh.h"

enum vehicle_class { VEHICLE_CAR, VEHICLE_TRUCK, VEHICLE_BUS, VEHICLE_CLASSES };

#define VEHICLE_MAX_FACES 1200

extern const char *const vehicle_class_names[VEHICLE_CLASSES];

struct vehicle_shape {
    enum vehicle_class class_index;
    int style; /* within the class */
    uint64_t seed;
    float length, width, height; /* metres; height without attachments */
};

/* Draws style and size; the rest follows from the seed when the body is built. */
void vehicle_choose(struct vehicle_shape *shape, enum vehicle_class class_index,
                    struct det_rng *rng);

/* Replaces the mesh's faces. */
void vehicle_build(const struct vehicle_shape *shape, struct mesh *mesh);

/* For vehicles.c and its two parts. */
struct material vehicle_glass(struct det_rng *rng);
struct material vehicle_rim(struct det_rng *rng);
void vehicle_mirrors(struct mesh *mesh, float x, float y, float z, float size,
                     struct material material);
void vehicle_build_truck(const struct vehicle_shape *shape, struct mesh *mesh, struct det_rng *rng);
void vehicle_build_bus(const struct vehicle_shape *shape, struct mesh *mesh, struct det_rng *rng);

#endif
